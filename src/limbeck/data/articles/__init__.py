"""Articles: their fields, near-duplicates among them, and overlaps of test and training articles."""
