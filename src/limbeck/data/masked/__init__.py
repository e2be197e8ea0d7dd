"""Plain text for masked language modelling."""
