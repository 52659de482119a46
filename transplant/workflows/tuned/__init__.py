"""Moving what a fine-tune learned: the donor is a base and a tuned copy of it."""
