"""BASIS: low-rank adaptation inside the directions that a model uses on calibration text."""
