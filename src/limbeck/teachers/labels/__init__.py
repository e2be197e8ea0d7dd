"""A prompted teacher's probabilities of the labels of texts, by four routes."""
