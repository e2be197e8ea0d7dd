"""Texts, or pairs of texts, with several targets at once: numbers, or labels that do not exclude each other."""
