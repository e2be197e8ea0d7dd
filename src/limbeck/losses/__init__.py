"""Terms of a distillation loss, and the one place that reduces them."""
