"""What is trained on, decided before anything is counted."""
