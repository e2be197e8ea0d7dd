"""Texts whose parts have labels: entities as tags of words, or as spans of characters."""
