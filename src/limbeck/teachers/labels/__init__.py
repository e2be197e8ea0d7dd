"""What a prompted teacher says about the labels of texts: probabilities, by four routes."""
