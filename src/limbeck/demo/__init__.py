"""The demo: a whole distillation from data and a model that come with the package."""
