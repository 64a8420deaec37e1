"""Records of runs: their form, where they lie, repeats, the printed report."""
