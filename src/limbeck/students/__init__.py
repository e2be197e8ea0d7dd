"""Creating the small model."""
