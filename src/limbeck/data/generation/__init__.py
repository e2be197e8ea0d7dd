"""Rows for generative models: reading, checking, tokenising, and choosing what is supervised."""
