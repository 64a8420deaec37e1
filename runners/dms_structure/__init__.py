"""The benchmark dms_structure: the crystal structure from a diffuse scattering pattern."""
