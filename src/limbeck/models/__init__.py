"""Hugging Face models: loading them safely, finding their layers, running them."""
