"""BASIS: covariance basis, Fisher rank allocation, in-subspace adaptation."""
