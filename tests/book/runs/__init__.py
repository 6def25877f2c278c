"""The road under failures: kills, interrupts, lost workers."""
