"""Whole jobs: a name goes in, an artifact and a report come out."""
