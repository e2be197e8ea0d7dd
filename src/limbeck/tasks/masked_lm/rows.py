"""The texts of a run: read, checked and held out before anything costs time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.data.generation.load import load_examples
from limbeck.data.generation.records import Examples
from limbeck.data.generation.task import Generation
from limbeck.tasks.dev_rows import kept_back, overlap_warnings
from limbeck.tasks.held_out import held_out, parted
from limbeck.tasks.masked_lm.config import MaskedRunConfig

__all__ = ["MaskedRows", "leaked_texts", "read_texts", "row_warnings"]


@dataclass(frozen=True)
class MaskedRows:
    """Training texts, held-out texts and, if something reads them, development texts."""

    train: Examples
    test: Examples
    dev: Examples | None
    left_out: int
    fingerprints: dict[str, str]


def read_texts(config: MaskedRunConfig, folder: Path | None = None) -> MaskedRows:
    """Read and check all texts, and hold some out if no test data are given.

    Args:
        config: the run.
        folder: the run folder, for rows in quarantine; ``None`` reads without writing.

    Raises:
        ConfigError, DataError: as the checks find.
    """
    parts = {
        split: load_examples(
            sources,
            Generation(text=config.task.text),
            on_bad_row=config.data.on_bad_row,
            quarantine=folder / f"quarantine-{split}.jsonl" if folder else None,
            split=split,
        )
        for split in ("train", "test", "dev")
        if (sources := getattr(config.data, split)) is not None
    }
    train, test, dev = (parts.get(split) for split in ("train", "test", "dev"))
    assert train is not None
    if test is None:
        train, test = _parts(train, held_out(range(len(train)), config.data.test_size))
    if dev is None and config.dev_reader is not None:
        train, dev = _parts(train, kept_back([True] * len(train), config.dev_reader))
    left_out = sum(part.left_out for part in parts.values())
    return MaskedRows(train, test, dev, left_out, {split: part.fingerprint for split, part in parts.items()})


def _parts(rows: Examples, taken: Sequence[int]) -> tuple[Examples, Examples]:
    """Split rows into the remaining and the taken ones."""
    left, chosen = parted(len(rows), taken)
    return replace(rows, rows=[rows.rows[i] for i in left]), replace(rows, rows=[rows.rows[i] for i in chosen])


def leaked_texts(rows: MaskedRows) -> list[str]:
    """Return the locations of held-out texts that are training texts too."""
    trained_on = {row.text for row in rows.train.rows}
    return [str(row.origin) for row in rows.test.rows if row.text in trained_on]


def row_warnings(config: MaskedRunConfig, rows: MaskedRows) -> Iterator[str]:
    """Yield what a reader of the report should know about the rows."""
    if rows.left_out:
        yield f"{rows.left_out} bad rows were left out; see quarantine-*.jsonl in the run folder."
    if config.data.test is None:
        yield "No test data were given: the held-out rows are a random part of the training rows."
    if leaked := len(leaked_texts(rows)):
        texts = "text also occurs" if leaked == 1 else "texts also occur"
        yield f"{leaked} held-out {texts} in the training rows; figures may be too good."
    dev = None if rows.dev is None else [row.text for row in rows.dev.rows]
    yield from overlap_warnings(config, [row.text for row in rows.train.rows], dev)
