"""Changing stored models file by file: paste."""
