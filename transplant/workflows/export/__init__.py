"""Out again: a hosted module as files that others load."""
