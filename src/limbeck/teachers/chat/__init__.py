"""A teacher behind an OpenAI-compatible API, and the journal of everything it was paid for."""
