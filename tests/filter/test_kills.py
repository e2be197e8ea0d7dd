"""`limbeck filter` with an API, killed at random moments: no paid answer is asked for twice, the end is the same."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs.forge import Forge
from tests.runs.outcomes import filter_outcome
from tests.runs.paid_server import PaidServer, answered, paid_server

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

ARTICLES, CONCURRENCY, KILLS = 160, 4, 16


@pytest.fixture
def server() -> Iterator[PaidServer]:
    with paid_server() as server:
        yield server


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("until_killed.py")
    yield made
    made.end()


def filter_settings(folder: Path, server: PaidServer, *, articles: int) -> dict[str, Any]:
    """A collection of which stage A keeps two thirds, with near-duplicates and a test set by date."""
    rng = random.Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nrst"]
    rows = []
    for n in range(articles):
        text = " ".join(rng.choices(words, k=20)) if n % 10 or not rows else rows[-1]["text"] + " again"
        text = text if n % 3 == 0 else f"blackout {text}"
        rows.append({"id": f"a{n}", "text": text, "date": f"202{n % 4}-05-01", "lang": "en"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    api = {"base_url": server.base_url, "model": "large", "log_probs": 2}
    return {
        "sets": {"energy": {"files": str(folder / "rows.jsonl"), "crisis": "a blackout", "keywords": ["blackout"]}},
        "judge": {"api": api | {"concurrency": CONCURRENCY}},
        "test_from": "2023-01-01",
    }


def write_filter_file(folder: Path, server: PaidServer) -> str:
    folder.mkdir()
    settings = {**filter_settings(folder, server, articles=ARTICLES), "output": str(folder / "out")}
    file = folder / "filter.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return str(file)


def test_kills_at_random_moments(forge: Forge, server: PaidServer, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    assert forge.run("filter", write_filter_file(undisturbed, server)) == 0
    expected = Counter(server.asked)
    assert set(expected.values()) == {1}
    assert len(expected) > ARTICLES
    assert {"train.jsonl", "test.jsonl", "audit.jsonl"} < filter_outcome(undisturbed / "out").keys()

    rng = random.Random(0)
    killed = tmp_path / "killed"
    file = write_filter_file(killed, server)
    kept: set[str] = set()
    moments = set()
    for _ in range(KILLS):
        before = len(server.asked)
        enough = before + rng.randrange(2 * len(expected) // KILLS)
        code = forge.run(
            "filter", file, kill_after=rng.uniform(0, 0.01), since=lambda enough=enough: len(server.asked) >= enough
        )
        time.sleep(0.05)  # calls that are on their way arrive
        asked = server.asked[before:]
        assert not kept & set(asked), "what is in the journal is never asked for again"
        now = set(answered(killed / "out" / "answers.sqlite"))
        assert kept <= now, "nothing that was paid for is lost"
        assert len(asked) - len(now - kept) <= CONCURRENCY, "only calls under way at the kill are made again"
        kept = now
        if code == -9:
            moments.add(len(kept))
    assert len(moments) > KILLS / 2, "killed in the middle of the asking"
    before = len(server.asked)
    assert forge.run("filter", file) == 0
    assert Counter(server.asked[before:]) == Counter(expected.keys() - kept)
    assert filter_outcome(killed / "out") == filter_outcome(undisturbed / "out")
