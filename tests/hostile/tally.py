"""What a driver tried and how often, printed by `tests/conftest.py` after the tests."""

from __future__ import annotations

__all__ = ["ENDS", "TALLY", "Tally"]

TALLY = "tried"
ENDS = {0: "done", 2: "a clear error", 130: "interrupted"}
"""The exit codes that a command may have; 130 for a signal only."""


class Tally:
    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def add(self, outcome: str, times: int = 1) -> None:
        """Count one more try that ended so."""
        self._counts[outcome] = self._counts.get(outcome, 0) + times

    def ended(self, code: int, output: str, *, signalled: bool = False) -> None:
        """Count a command by its exit code.

        Raises:
            AssertionError: the code is none of `ENDS`, says that a signal came where none was sent, or the output
                shows a traceback.
        """
        allowed = ENDS if signalled else {end: name for end, name in ENDS.items() if end != 130}
        assert code in allowed, f"exit code {code}:\n{output}"
        assert "Traceback" not in output, output
        self.add(allowed[code])
