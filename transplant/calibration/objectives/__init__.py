"""Objectives that an interface is calibrated by: one a file, one table."""
