"""What is asked of a model that writes: one file per question."""
