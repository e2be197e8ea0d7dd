"""Metrics, each declared once: its title, and how it is computed from rows. One file per kind of task."""
