"""Terms of a distillation loss, and their one reduction."""
