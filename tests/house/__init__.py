"""What the house asks of itself: pages linted like the library, and its measures counted."""
