"""Stable laws, tail indices and the bound."""
