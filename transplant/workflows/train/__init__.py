"""Training modules, cores and reference backbones."""
