"""Reports: what runs have measured, as one document."""
