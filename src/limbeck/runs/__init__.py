"""A whole run: from the user's run file to the student and the report."""
