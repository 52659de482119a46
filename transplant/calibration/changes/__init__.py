"""Changes of logits across tokenizers: one way a file, one table."""
