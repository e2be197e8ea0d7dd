"""Which rows are labelled, which are not, and which are held out; a test holds it (tests/benchmarks).

Held-out rows are the same for every draw of labels, and none of their texts is among the others. Labelled rows come
first in a shuffled order of the training rows, so 20 labels of a class include the 10 of the same draw.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SETS", "Split", "read_set", "split"]

Row = dict[str, str]

SETS = ("trec", "sst2", "ag_news", "banking77")
_TRAIN = {"trec": "train.jsonl"}
_TEST = {
    "trec": ("test.jsonl",),
    "sst2": ("test.jsonl", "validation.jsonl"),
    "ag_news": ("test.jsonl.gz",),
    "banking77": ("test.jsonl",),
}
_FROM_TRAIN = {"trec": 1500}
"""Rows of the training split that are held out too, where the official test split is small."""
_MOST_TEST = {"ag_news": 2000}
_MOST_TEXTS = {"sst2": 5000, "ag_news": 5000}
"""Training rows, labelled or not: a sample of large sets."""


@dataclass(frozen=True)
class Split:
    """The rows of one draw of labels."""

    labelled: list[Row]
    unlabelled: list[Row]
    """Texts alone."""
    test: list[Row]


def read_set(data: Path, name: str) -> tuple[list[Row], list[Row]]:
    """Return the official training rows and test rows of a set in the folder `data`, each with text and label."""
    train = data / name / _TRAIN.get(name, "train.jsonl.gz")
    return _read(train), [row for file in _TEST[name] for row in _read(data / name / file)]


def split(name: str, train: list[Row], test: list[Row], *, labels: int, draw: int) -> Split:
    """Split a set.

    Args:
        name: of the set.
        train: its official training rows.
        test: its official test rows.
        labels: labelled rows of each class.
        draw: number of the random choice of these.
    """
    rows, held_out = list(train), list(test)
    random.Random(f"held out {name}").shuffle(rows)
    random.Random(f"held out {name}").shuffle(held_out)
    taken = _FROM_TRAIN.get(name, 0)
    held_out = (held_out if name not in _MOST_TEST else held_out[: _MOST_TEST[name]]) + rows[:taken]
    known = {row["text"] for row in held_out}
    rows = list({row["text"]: row for row in rows[taken:] if row["text"] not in known}.values())
    rows = rows[: _MOST_TEXTS.get(name, len(rows))]
    random.Random(f"draw {draw} {name}").shuffle(rows)
    seen: Counter[str] = Counter()
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        seen[row["label"]] += 1
        parts[seen[row["label"]] > labels].append(row)
    return Split(parts[0], [{"text": row["text"]} for row in parts[1]], held_out)


def _read(path: Path) -> list[Row]:
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [{"text": row["text"], "label": str(row.get("label_name", row["label"]))} for row in found]
