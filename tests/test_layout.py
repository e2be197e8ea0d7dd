"""Tests are where their source is: `tests/X/test_Y.py` is of `src/limbeck/X/Y.py`."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "limbeck"
ELSEWHERE = {"benchmarks", "hostile"}
"""Folders of tests that are of no module."""


def test_a_file_named_after_a_module_is_where_the_module_is() -> None:
    """Names of no module are free: tests of whole runs, kills, several processes."""
    modules = {path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py")}
    modules |= {module.parent for module in modules if module.name == "__init__"}
    names = {module.name for module in modules}
    files = [path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")]
    mirrored = {file: file.with_name(file.stem.removeprefix("test_")) for file in files}
    misplaced = [
        str(file)
        for file, module in mirrored.items()
        if module.name in names and module not in modules and file.parts[0] not in ELSEWHERE
    ]
    assert not misplaced
