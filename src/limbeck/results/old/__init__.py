"""Upgrades of limbeck 0.1 result records, one format per kind of run, to the current format."""
