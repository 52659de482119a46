"""Validation of a hosted model against a baseline, and the gates that it must pass."""
