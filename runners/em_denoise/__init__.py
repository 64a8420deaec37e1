"""The benchmark em_denoise: clean micrographs of graphene from noisy ones."""
