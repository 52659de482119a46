"""Measures of pieces and activations: spectra, roles of heads, similarity of layers."""
