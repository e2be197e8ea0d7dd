"""A teacher's next-token distributions on disk: a few hundred bytes per token, found by content."""
