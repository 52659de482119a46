"""Fusion: several transplanted modules on one layer, weighed position by position."""
