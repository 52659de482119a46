"""Benchmark tasks of lm-eval (EleutherAI's evaluation harness) for hosted models."""
