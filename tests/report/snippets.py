"""Runs the Python that a model card shows, as a reader would who copies it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

__all__ = ["run_snippet"]


def run_snippet(card: str, folder: Path, capsys: pytest.CaptureFixture[str], **replaced: str) -> str:
    """Execute the card's one block of Python on `folder` and return what it printed.

    Args:
        card: the card.
        folder: the student's, in place of the card's ``path/to/this/folder``.
        capsys: pytest's.
        replaced: parts of the snippet, and what a reader types there instead.
    """
    (snippet,) = re.findall(r"^(?:`{3,})python\n(.*?)\n`{3,}$", card, re.DOTALL | re.MULTILINE)
    snippet = snippet.replace("path/to/this/folder", str(folder))
    for old, new in replaced.items():
        assert old.replace("_", " ") in snippet
        snippet = snippet.replace(old.replace("_", " "), new)
    capsys.readouterr()
    exec(compile(snippet, "card", "exec"), {})
    return capsys.readouterr().out
