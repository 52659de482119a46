"""Whole jobs of BASIS: fit, allocate, adapt, compress, compare."""
