"""Traces of hosted models: which parts matter on a text, and which carry a difference of two."""
