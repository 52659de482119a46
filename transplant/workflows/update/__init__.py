"""Modules through updates of their backbone."""
