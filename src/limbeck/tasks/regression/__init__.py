"""Real numbers for texts and text pairs."""
