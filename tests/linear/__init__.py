"""Linear Gaussian problems."""
