"""Many runs from one command: jobs, their outcomes, and the table at the end of a sweep."""
