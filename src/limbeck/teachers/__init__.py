"""Where a teacher's signal comes from."""
