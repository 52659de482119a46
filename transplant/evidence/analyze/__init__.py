"""Catalogs of what a donor's pieces and activations are like."""
