"""What the figures say, in plain sentences."""
