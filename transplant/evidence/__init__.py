"""Jobs that measure models and tell of it: names in, reports and pages out."""
