"""Advice on two backbones: numbers measured of them, and the decision that rests on these."""
