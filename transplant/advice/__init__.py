"""What to do with two backbones: numbers measured of them, and the decision that rests on these."""
