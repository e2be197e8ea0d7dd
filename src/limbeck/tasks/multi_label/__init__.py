"""Multi-label classification of texts and text pairs."""
