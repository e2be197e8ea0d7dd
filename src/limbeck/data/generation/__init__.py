"""Rows for models that generate text: reading, checking, tokenising, and what of them is supervised."""
