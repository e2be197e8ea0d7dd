"""Cases are counted like the inputs of `tests/hostile/`."""

from __future__ import annotations

from tests.hostile.conftest import tally

__all__ = ["tally"]
