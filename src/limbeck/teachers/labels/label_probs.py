"""A teacher's label probabilities for every row, and their origin.

Five routes lead here: labels that are already on disk (`from_columns`), scores of a local causal model
(`limbeck.teachers.labels.local`), log-probabilities of option letters from an API (`from_log_probs`), and repeated
samples of text (`from_samples`), and the weighted mean of several models. `LabelProbs.how` tells which one was used,
and `LabelProbs.steps` the calibration afterwards (`limbeck.teachers.labels.calibration`).
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import replace_folder
from limbeck.errors import DataError, near_misses
from limbeck.formatting import share_text
from limbeck.intact import Damage, open_seal, seal

__all__ = [
    "MOST_UNREADABLE",
    "LabelProbs",
    "Route",
    "TopTokens",
    "from_columns",
    "from_log_probs",
    "from_samples",
    "has_letter",
    "joined",
    "letters",
]

Route = Literal["column", "local", "log_probs", "samples", "ensemble"]

MOST_UNREADABLE = 0.02
"""Above this share of answers without a label, the prompt is at fault, not the rows."""

TopTokens = Mapping[str, float] | Sequence[tuple[str, float]]
"""The most likely tokens with their natural log-probabilities; several may have the same spelling."""

_LEAST_ON_LETTERS = 0.5
"""If letters have a smaller share of a token's probability, the model was about to say something else."""
_BLANKS_IN_VOCABULARIES = "\u0120\u010a\u0109\u010d\u2581"
"""Byte-level BPE's characters for space, line break, tab and carriage return, and SentencePiece's for a space."""

_SUM_TOLERANCE = 1e-6
_FORMAT = 1
_ARRAYS, _WORDS = "labels.npz", "labels.json"


@dataclass(frozen=True)
class LabelProbs:
    """Probabilities of C labels for N rows, in the order of the rows and the task's labels."""

    probs_NC: NDArray[np.float64]
    """Calibrated probabilities; every row sums to 1. Uniform where `kept_N` is false."""
    raw_NC: NDArray[np.float64]
    """Probabilities before calibration."""
    kept_N: NDArray[np.bool_]
    """False if the teacher gave no label: refused, cut off, unreadable. Such rows must not be trained on."""
    flags: tuple[frozenset[str], ...]
    """Special properties of each row, for example ``floored``."""
    how: Route
    steps: tuple[str, ...] = ()
    """The calibration done, in order."""

    def __post_init__(self) -> None:
        shape = self.probs_NC.shape
        if len(shape) != 2 or self.raw_NC.shape != shape or self.kept_N.shape != shape[:1]:
            raise DataError(
                f"label probabilities: expected probs and raw [N, C] and kept [N]; got {shape}, {self.raw_NC.shape} "
                f"and {self.kept_N.shape}"
            )
        if len(self.flags) != shape[0] or self.how not in get_args(Route):
            raise DataError(f"label probabilities: {len(self.flags)} flags for {shape[0]} rows, how: '{self.how}'")
        for name, values_NC in (("probs", self.probs_NC), ("raw", self.raw_NC)):
            good_N = (values_NC >= 0).all(axis=1) & (np.abs(values_NC.sum(axis=1) - 1) < _SUM_TOLERANCE)
            if not good_N.all():
                row = int(np.argmin(good_N))
                raise DataError(
                    f"label probabilities ({name}): row {row} is {values_NC[row].tolist()}; expected numbers from 0 "
                    "that sum to 1"
                )

    def __len__(self) -> int:
        return len(self.kept_N)

    @property
    def entropy_N(self) -> NDArray[np.float64]:
        """Entropy of each calibrated row divided by that of a uniform one, ``H(p) / ln C``: 0 is sure, 1 uniform.

        >>> scored = from_columns(["a"], [0.7], ["a", "b", "c"])
        >>> scored.entropy_N.round(4).tolist()
        [0.7453]
        """
        logs_NC = np.log(self.probs_NC, out=np.zeros_like(self.probs_NC), where=self.probs_NC > 0)
        entropy_N: NDArray[np.float64] = -(self.probs_NC * logs_NC).sum(axis=1) / math.log(self.probs_NC.shape[1])
        return entropy_N

    def count(self) -> dict[str, int]:
        """Return the number of rows with each flag."""
        return dict(sorted(Counter(flag for flags in self.flags for flag in flags).items()))

    def among(self, indices: Sequence[int], rows: int, flag: str) -> LabelProbs:
        """Return `rows` rows with these ones at `indices`; the others are not kept and get `flag`.

        >>> from_samples([["a"]], ["a", "b"]).among([1], 2, "prompt_too_long").kept_N.tolist()
        [False, True]
        """
        where = list(indices)
        probs_NC = np.full((rows, self.probs_NC.shape[1]), 1 / self.probs_NC.shape[1])
        raw_NC, kept_N = probs_NC.copy(), np.zeros(rows, dtype=np.bool_)
        probs_NC[where], raw_NC[where], kept_N[where] = self.probs_NC, self.raw_NC, self.kept_N
        own = dict(zip(where, self.flags, strict=True))
        flags = tuple(own.get(row, frozenset({flag})) for row in range(rows))
        return LabelProbs(probs_NC, raw_NC, kept_N, flags, self.how, self.steps)

    def take(self, rows: slice | NDArray[np.int64] | NDArray[np.bool_]) -> LabelProbs:
        """Return some of the rows."""
        chosen = np.arange(len(self))[rows].tolist()
        flags = tuple(self.flags[row] for row in chosen)
        return replace(
            self, probs_NC=self.probs_NC[rows], raw_NC=self.raw_NC[rows], kept_N=self.kept_N[rows], flags=flags
        )

    def replaced(self, rows: NDArray[np.int64], by: LabelProbs) -> LabelProbs:
        """Return a copy with other answers in some rows; `by` has an answer for each of them, in their order.

        >>> first, again = (from_samples([[said], ["b"]], ["a", "b"]) for said in "ab")
        >>> first.replaced(np.array([0]), again.take(slice(1))).probs_NC.argmax(axis=1).tolist()
        [1, 1]
        """
        probs_NC, raw_NC, kept_N = self.probs_NC.copy(), self.raw_NC.copy(), self.kept_N.copy()
        probs_NC[rows], raw_NC[rows], kept_N[rows] = by.probs_NC, by.raw_NC, by.kept_N
        new = dict(zip(rows.tolist(), by.flags, strict=True))
        flags = tuple(new.get(row, own) for row, own in enumerate(self.flags))
        return replace(self, probs_NC=probs_NC, raw_NC=raw_NC, kept_N=kept_N, flags=flags)

    def flagged(self, flag_N: Sequence[frozenset[str]]) -> LabelProbs:
        """Return a copy with more flags for each row."""
        return replace(self, flags=tuple(own | more for own, more in zip(self.flags, flag_N, strict=True)))

    def without(self, flag: str) -> LabelProbs:
        """Return a copy in which rows with that flag are not kept."""
        dropped_N = np.array([flag in flags for flags in self.flags], dtype=np.bool_)
        probs_NC = np.where(dropped_N[:, None], 1 / self.probs_NC.shape[1], self.probs_NC)
        return replace(self, probs_NC=probs_NC, kept_N=self.kept_N & ~dropped_N)

    def save(self, folder: Path) -> None:
        """Write `folder`, all of it or nothing: arrays as npz, text as JSON. Raises `StorageError`."""
        with replace_folder(folder) as part:
            np.savez(part / _ARRAYS, probs=self.probs_NC, raw=self.raw_NC, kept=self.kept_N)
            words = {"format": _FORMAT, "how": self.how, "steps": self.steps, "flags": [sorted(f) for f in self.flags]}
            seal(part / _WORDS, words, part)

    @classmethod
    def load(cls, folder: Path) -> LabelProbs:
        """Read what `save` wrote.

        Raises:
            DataError: it is missing, or not in the format of `save`.
        """
        try:
            words = open_seal(folder / _WORDS, folder)
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                probs_NC, raw_NC, kept_N = (arrays[name] for name in ("probs", "raw", "kept"))
            if words["format"] != _FORMAT:
                raise ValueError(f"it has format {words['format']}, but this version reads {_FORMAT}")
            flags = tuple(frozenset(f) for f in words["flags"])
            return cls(probs_NC, raw_NC, kept_N, flags, words["how"], tuple(words["steps"]))
        except (Damage, OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise DataError(f"{folder} holds no label probabilities that can be read: {error}") from error


def from_columns(
    labels: Sequence[str | None], confidences: Sequence[float | None] | None, names: Sequence[str]
) -> LabelProbs:
    """Return probabilities from another model's labels and its confidence in them.

    The given label gets its confidence, and all others share the rest equally: a convention, since a column does not
    tell how the rest was spread. Without a confidence the label gets 1 (flag ``no_confidence``). If the confidence is
    below an equal share, another label becomes more likely (flag ``below_chance``). Confidences that a chat model
    states in words are not frequencies; calibrate them if there are gold labels.

    Args:
        labels: one for each row; ``None``: the row has no label and is not kept.
        confidences: from 0 to 1; ``None``: there are none, or none for this row.
        names: the task's labels, in order.

    Raises:
        DataError: an unknown label, or a confidence outside [0, 1].

    Example:
        >>> from_columns(["b", None], [0.8, None], ["a", "b", "c"]).probs_NC.round(3).tolist()
        [[0.1, 0.8, 0.1], [0.333, 0.333, 0.333]]
    """
    given = [None] * len(labels) if confidences is None else list(confidences)
    if len(given) != len(labels):
        raise DataError(f"{len(labels)} labels and {len(given)} confidences: expected one of each for every row")
    index = {name: c for c, name in enumerate(names)}
    classes = len(names)
    probs_NC = np.full((len(labels), classes), 1 / classes)
    flags = []
    for row, (label, confidence) in enumerate(zip(labels, given, strict=True)):
        if label is None:
            flags.append(frozenset({"no_label"}))
            continue
        if label not in index:
            raise DataError(
                f"row {row}: the teacher's label '{label}' is none of the task's; {near_misses(label, names)}"
            )
        if confidence is not None and not 0 <= confidence <= 1:
            raise DataError(f"row {row}: the teacher's confidence is {confidence}; expected a number from 0 to 1")
        sure = 1.0 if confidence is None else confidence
        probs_NC[row] = (1 - sure) / (classes - 1)
        probs_NC[row, index[label]] = sure
        marks = {"no_confidence"} if confidence is None else {"below_chance"} if sure < 1 / classes else set()
        flags.append(frozenset(marks))
    kept_N = np.array([label is not None for label in labels], dtype=np.bool_)
    return LabelProbs(probs_NC, probs_NC.copy(), kept_N, tuple(flags), "column")


def joined(first: LabelProbs, second: LabelProbs) -> LabelProbs:
    """Return the rows of one and then those of the other, which have the same labels and origin."""
    return replace(
        first,
        probs_NC=np.concatenate([first.probs_NC, second.probs_NC]),
        raw_NC=np.concatenate([first.raw_NC, second.raw_NC]),
        kept_N=np.concatenate([first.kept_N, second.kept_N]),
        flags=(*first.flags, *second.flags),
    )


def letters(classes: int) -> list[str]:
    """Return the option letters for `classes` labels: A, B, C, ...

    Raises:
        DataError: there are more labels than letters.
    """
    if classes > 26:
        raise DataError(f"option letters serve up to 26 labels, but the task has {classes}; use repeated samples")
    return [chr(ord("A") + c) for c in range(classes)]


def has_letter(top: TopTokens | None, classes: int) -> bool:
    """Return whether option letters have at least half of a token's probability."""
    return top is not None and bool(np.exp(_letter_logs(top, classes)).sum() >= _LEAST_ON_LETTERS)


def _letter_logs(top: TopTokens, classes: int) -> NDArray[np.float64]:
    """Return each letter's log-probability, summed over its spellings; minus infinity if it has none."""
    index = {letter: j for j, letter in enumerate(letters(classes))}
    logs_C = np.full(classes, -np.inf)
    for token, log_prob in _pairs(top):
        if (j := index.get(_as_letter(token))) is not None:
            logs_C[j] = np.logaddexp(logs_C[j], log_prob)
    return logs_C


def _as_letter(token: str) -> str:
    """Return a token in upper case and plain form, without spaces and marks around it: "A" for " **a" or "(A".

    Letters of other scripts are unchanged: the Cyrillic Ve looks like B, but is the third letter.
    """
    plain = unicodedata.normalize("NFKC", token.strip(_BLANKS_IN_VOCABULARIES))
    return "".join(c if c.isalnum() else " " for c in plain).strip().upper()


def _pairs(top: TopTokens) -> list[tuple[str, float]]:
    return list(top.items() if isinstance(top, Mapping) else top)


def from_log_probs(
    top_NR: Sequence[Sequence[TopTokens | None]], classes: int, *, most_unreadable: float = MOST_UNREADABLE
) -> LabelProbs:
    """Return probabilities from an API's log-probabilities of the answer's first token, an option letter.

    In order r of a row, letter j stands for label ``(j + r) mod C``. The probability of a letter is proportional to
    ``exp(log-prob)``, summed over its spellings ("A", " A", "a", "A.", "(A", "**A", and spaces as vocabularies write
    them). An order in which letters have less than half of the probability cannot be read: the model was about to say
    something else. A letter that is not among the returned tokens gets the smallest returned log-probability, which is
    an upper bound (flag ``floored``). The orders are averaged, which cancels the model's preference for a position.
    ``orders_disagree``: two orders had different most likely labels. ``orders_missing``: some order could not be read.

    Args:
        top_NR: for each row and each cyclic order of its labels, the most likely first tokens with their natural
            log-probabilities; ``None`` if the request failed.
        classes: C.
        most_unreadable: maximum share of answers without an option letter.

    Raises:
        DataError: too many answers were unreadable, or a row has more orders than labels.
    """
    probs_NC = np.full((len(top_NR), classes), 1 / classes)
    kept_N = np.zeros(len(top_NR), dtype=np.bool_)
    flags = []
    read = 0
    for row, top_R in enumerate(top_NR):
        if len(top_R) > classes:
            raise DataError(
                f"row {row} has {len(top_R)} cyclic orders of {classes} labels: expected at most one per label"
            )
        marks = set()
        orders = []
        for turn, top in enumerate(top_R):
            if top is None or not has_letter(top, classes):
                marks.add("orders_missing")
                continue
            logs_C = _letter_logs(top, classes)
            if np.isinf(logs_C).any():
                marks.add("floored")
                logs_C[np.isinf(logs_C)] = min(log_prob for _, log_prob in _pairs(top))
            odds_C = np.exp(logs_C - logs_C.max())
            orders.append(np.roll(odds_C / odds_C.sum(), turn))
        read += len(orders)
        if orders:
            kept_N[row], probs_NC[row] = True, np.mean(orders, axis=0)
            if len({int(order_C.argmax()) for order_C in orders}) > 1:
                marks.add("orders_disagree")
        else:
            marks.add("unreadable")
        flags.append(frozenset(marks))
    _refuse_unreadable(read, sum(len(top_R) for top_R in top_NR), most_unreadable)
    return LabelProbs(probs_NC, probs_NC.copy(), kept_N, tuple(flags), "log_probs")


def from_samples(
    answers: Sequence[Sequence[str | None]], names: Sequence[str], *, most_unreadable: float = MOST_UNREADABLE
) -> LabelProbs:
    """Return probabilities from repeated answers: ``(n_c + 1/2) / (n + C/2)``, where n_c of n answers are label c.

    Args:
        answers: for each row, the labels read from its n answers; ``None``: an answer that failed or has no label.
            It is not counted; a row with no other answer is not kept (flag ``unreadable``).
        names: the task's labels, in order.
        most_unreadable: maximum share of ``None`` among all answers.

    Raises:
        DataError: too many answers were unreadable, or an answer is not one of the labels.

    Example:
        >>> from_samples([["a"] * 7 + ["b"] * 2 + ["c"]], ["a", "b", "c"]).probs_NC.round(6).tolist()
        [[0.652174, 0.217391, 0.130435]]
    """
    index = {name: c for c, name in enumerate(names)}
    counts_NC = np.zeros((len(answers), len(names)))
    flags = []
    for row, given in enumerate(answers):
        for label in given:
            if label is None:
                continue
            if label not in index:
                raise DataError(f"row {row}: an answer was read as '{label}'; {near_misses(label, names)}")
            counts_NC[row, index[label]] += 1
        lost = sum(label is None for label in given)
        marks = {"unreadable"} if lost == len(given) else {"answers_missing"} if lost else set()
        flags.append(frozenset(marks))
    read_N = counts_NC.sum(axis=1, keepdims=True)
    _refuse_unreadable(int(read_N.sum()), sum(len(given) for given in answers), most_unreadable)
    probs_NC = (counts_NC + 0.5) / (read_N + len(names) / 2)
    return LabelProbs(probs_NC, probs_NC.copy(), read_N[:, 0] > 0, tuple(flags), "samples")


def _refuse_unreadable(read: int, answers: int, most: float) -> None:
    lost = answers - read
    if lost > most * answers:
        raise DataError(
            f"{lost} of the teacher's {answers} answers ({share_text(lost / answers)}) have no label; at most "
            f"{share_text(most, digits=0)} may. "
            "Look at the answers; then show in the prompt's format what an answer looks like, or use another teacher"
        )
