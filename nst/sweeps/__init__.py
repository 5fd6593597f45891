"""Many runs from one command: jobs, their outcomes, and the table that ends a sweep."""
