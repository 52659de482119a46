"""Documents, hashed splits, windows and the pairing of two tokenizations."""
