"""Masks, their files, the surgeon and the road to retraining."""
