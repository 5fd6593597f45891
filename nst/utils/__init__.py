"""Files that appear whole, errors with exit statuses, and what the process needs."""
