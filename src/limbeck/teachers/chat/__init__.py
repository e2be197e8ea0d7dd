"""A teacher behind an OpenAI-compatible API, and the journal of everything that was paid for."""
