"""Minimal pairs: texts that differ in one place, one of them right and the other wrong."""
