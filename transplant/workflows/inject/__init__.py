"""Pieces of a donor inside a target: banks, bridges, injections."""
