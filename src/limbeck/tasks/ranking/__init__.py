"""Cross-lingual ranking of candidates."""
