"""What is on a disk that others share: files that appear whole, locks that only save work, and who holds what."""
