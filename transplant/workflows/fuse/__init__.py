"""Several modules on one layer."""
