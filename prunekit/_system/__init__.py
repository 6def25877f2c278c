"""What the library asks of the machine: files that appear whole, locks, who holds what, bars for what takes long."""
