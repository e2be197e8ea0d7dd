"""Structured pruning: a student that is its teacher without some hidden units, attention heads and neurons."""
