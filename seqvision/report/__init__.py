"""What a run looks like: the page, pictures and tables that explain it.  page.py is the way."""
