"""The benchmark hydronet: the energy of a water cluster from its geometry."""
