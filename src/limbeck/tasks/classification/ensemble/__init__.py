"""The cross-fitted ensemble: a teacher whose members learn the rows' labels, and answer no row that they learned."""
