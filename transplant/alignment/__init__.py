"""Procrustes, ridge, the unembedding map and the tokenizer map."""
