"""Fitting a new interface on the target: closed form and distillation."""
