"""Pure tensor functions: divergences, distances, layer maps."""
