"""Metrics, each declared once: what it is called, and how rows add up to it. A file for each kind of task."""
