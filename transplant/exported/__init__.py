"""Model code that goes out with exported folders: it needs torch and transformers alone."""
