"""``durazzo batch``: one workflow for every row of a file."""
