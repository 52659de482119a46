"""Paste: a domain module of a LayerCake core copied into another core, byte for byte."""
