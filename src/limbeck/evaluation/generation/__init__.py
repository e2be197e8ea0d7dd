"""Measuring generative models: one file per question."""
