"""The knowledge bank: pieces of a donor that run without it."""
