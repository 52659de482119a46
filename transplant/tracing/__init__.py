"""Causal tracing: what a head, a feed-forward part or a layer is worth to a hosted model."""
