"""Articles: their fields, near-duplicates among them, and what test and training articles share."""
