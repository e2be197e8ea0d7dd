"""Users' rows: reading, checking, encoding, batching."""
