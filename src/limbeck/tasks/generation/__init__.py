"""Generation: a student that writes."""
