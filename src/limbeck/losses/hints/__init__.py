"""Terms on intermediate layers."""
