"""Data, models and training of neural networks."""
