"""Measuring students: one file per question."""
