"""Embeddings for a vocabulary that a backbone has never seen."""
