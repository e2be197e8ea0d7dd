"""Next-token distributions of a teacher on disk: a few hundred bytes a token, found by content."""
