"""Sources of a teacher's signal."""
