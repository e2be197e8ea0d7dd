"""Hierarchical prompts: what a model reads about the task and about the language, before the input."""
