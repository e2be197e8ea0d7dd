"""Hierarchical prompts: the texts about task and language that a model reads before the input."""
