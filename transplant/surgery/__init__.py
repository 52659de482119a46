"""Paste, injection, bridges, fusion and embedding initialisation."""
