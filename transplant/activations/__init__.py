"""Capture of hidden states to HDF5, and streamed moments."""
