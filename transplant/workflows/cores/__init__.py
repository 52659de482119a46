"""LayerCake cores in a library: their folders, and the modules inside them."""
