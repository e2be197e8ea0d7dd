"""How the small model comes to be."""
