"""Generation: students that generate text."""
