"""Frozen language models behind one view; LayerCake; the shipped reference backbones."""
