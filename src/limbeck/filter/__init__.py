"""Filter a large stream of articles: a cheap screen for all, then a judge for those that pass."""
