"""Names to hosted models, and whether what was stored fits the backbone that it meets."""
