"""Entities in texts: a tag for each word, or spans of characters."""
