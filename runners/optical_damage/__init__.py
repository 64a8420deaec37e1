"""The benchmark optical_damage: damaged laser optics from pictures of undamaged ones."""
