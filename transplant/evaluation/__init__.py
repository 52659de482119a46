"""Perplexity, NIB, controls, backbone-update invariance and intervals."""
