"""Training data of each step, decided before anything is counted."""
