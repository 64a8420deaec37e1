"""Training: the loop, its schedule, checkpoints, backends, several devices and nodes."""
