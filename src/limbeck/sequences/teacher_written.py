"""Completions that the teacher generates once, before any student is trained (SeqKD), saved as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import guard_storage, write_text
from limbeck.intact import checksum
from limbeck.models.generate import Completion, Decoding
from limbeck.types import Progress

__all__ = ["generate_once"]


def generate_once(
    path: Path,
    *,
    fingerprint: str,
    decoding: Decoding,
    batches: Sequence[NDArray[np.int64]],
    write: Callable[[NDArray[np.int64], Decoding, int], list[Completion]],
    seed: int,
    progress: Progress,
) -> dict[int, Completion]:
    """Return a completion for every row: those stored in `path`, and the others generated now.

    Token ids are stored, not text: decoding and encoding again may give other tokens.

    Args:
        path: JSON Lines; the first line describes what wrote them, each other holds one row's completion.
        fingerprint: fingerprint of teacher and prompts. A file with another fingerprint or decoding is replaced.
        decoding: how the teacher generates.
        batches: row numbers, batch by batch; together every row once.
        write: completes the prompts of rows: ``write(rows, decoding, seed)``.
        seed: seed of sampling.
        progress: shows the progress.
    """
    head: dict[str, Any] = {"fingerprint": fingerprint, "decoding": asdict(decoding), "seed": seed}
    found = _read(path, head, progress.log)
    if not found:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(head) + "\n")
    total = sum(len(batch) for batch in batches)
    done = [all(int(row) in found for row in batch) for batch in batches]
    already = sum(len(batch) for batch, there in zip(batches, done, strict=True) if there)
    if already == total:
        return found
    with progress.track("the teacher writes", total, already) as update, guard_storage(path), path.open("a") as file:
        for number, rows in enumerate(batches):
            if done[number]:
                continue
            sample = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
            completions = write(rows, decoding, sample)
            for row, completion in zip(rows.tolist(), completions, strict=True):
                found[row] = completion
                file.write(_line(row, completion) + "\n")
            file.flush()
            update(len(rows))
    return found


def _read(path: Path, head: dict[str, Any], notify: Callable[[str], None]) -> dict[int, Completion]:
    """Return what an earlier start wrote; drop a line that is cut off or damaged, also from the file."""
    try:
        first, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        if json.loads(first) != head:
            return {}
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    found: dict[int, Completion] = {}
    kept, damaged = [first], 0
    for line in lines[:-1]:  # the last is empty, or cut off
        try:
            entry = json.loads(line)
            row, completion = int(entry["row"]), Completion(list(entry["ids"]), bool(entry["ended"]))
            whole = "checksum" not in entry or line == _line(row, completion)
        except (ValueError, KeyError, TypeError):
            whole = False
        damaged += not whole
        if whole:
            found[row] = completion
            kept.append(line)
    if damaged:
        notify(
            f"{path} is damaged: {damaged} of {len(lines) - 1} lines are not what was written. Generating them again"
        )
    write_text(path, "\n".join(kept) + "\n")
    return found


def _line(row: int, completion: Completion) -> str:
    values = {"row": row, "ids": completion.ids, "ended": completion.ended}
    return json.dumps({**values, "checksum": checksum(json.dumps(values).encode())})
