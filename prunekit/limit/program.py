"""Settings of the program of geometric's authors."""

LANCZOS_STEPS = 128  # what the program takes for FC5; for other networks it takes 96 to 128
BATCH = 128  # its batch size, from its configuration files
