"""Texts, or pairs of texts, with several targets at once: numbers, or several labels."""
