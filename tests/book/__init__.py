"""The book's machinery."""
