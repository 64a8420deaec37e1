"""The CloudMask benchmark: cloud or clear, pixel by pixel, in scenes of SLSTR."""
