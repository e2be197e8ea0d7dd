"""The demo: a complete distillation with data and a model that come with the package."""
