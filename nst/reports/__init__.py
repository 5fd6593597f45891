"""Reports: from finished run folders to tables, claims and a page."""
