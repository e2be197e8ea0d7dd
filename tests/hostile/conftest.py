"""Drivers that try to break the promises of README and docs: `pytest -m hostile`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.hostile.tally import TALLY, Tally


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder hostile, and slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hostile)
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Counts what a driver tried and how it ended; the counts are printed when all tests have ended."""
    counts: dict[str, int] = {}
    request.node.user_properties.append((TALLY, counts))
    return Tally(counts)
