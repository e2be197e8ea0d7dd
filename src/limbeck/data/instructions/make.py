"""Building records: their ids, the order of candidates, the position of the answer."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from limbeck.types import Instruction

__all__ = ["Part", "Split", "by_hash", "choice", "digest", "fold", "record_id"]

Split = Literal["train", "dev", "test"]


class Part(NamedTuple):
    """The part of a set to read: one split, in some languages."""

    folder: Path
    """Holds ``train.jsonl`` and so on (also ``.csv``, ``.tsv``, ``.parquet``, ``.gz``)."""
    split: Split
    """The split's file; ``validation`` also counts as ``dev``."""
    languages: Sequence[str]
    """Language codes, ours or those in the rows."""


def fold(text: str) -> str:
    r"""Return `text` in Unicode NFC with runs of white space as one space: our definition of "the same text".

    >>> fold(" cafe\u0301 \n au  lait")
    'café au lait'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def digest(*parts: object) -> bytes:
    """Return 16 bytes that depend only on `parts`: the same on every machine and in every process."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()


def by_hash(names: Sequence[str], key: str) -> list[str]:
    """Return `names` in an order that depends on `key`, not on their given order."""
    return sorted(names, key=lambda name: digest("candidates", key, name))


def record_id(source: str, split: Split, lang: str, task: str, key: object) -> str:
    """Return ``source/split/language/task/key``."""
    return f"{source}/{split}/{lang}/{task}/{key}"


def choice(
    *,
    source: str,
    split: Split,
    lang: str,
    task: str,
    key: object,
    text: str,
    labels: Sequence[str],
    label: str | None,
    pair: str | None = None,
    parallel: str | None = None,
) -> Instruction:
    """Return a record that chooses one of `labels`.

    The candidates are ordered by a hash of `parallel`, or of the id if there is none: the right answer has no
    fixed position, and translations of a row list the candidates in the same order.
    """
    name = record_id(source, split, lang, task, key)
    candidates = by_hash(labels, parallel or name)
    return Instruction(
        id=name,
        source=source,
        split=split,
        task=task,
        lang=lang,
        input=text,
        input_pair=pair,
        candidates=tuple(candidates),
        gold=() if label is None else (candidates.index(label),),
        parallel=parallel,
    )
