"""Which teacher layer each student layer corresponds to. Layers are counted from 1.

name     6 of 12            3 of 12     2 of 6    used by
first    1 2 3 4 5 6        1 2 3       1 2       PKD initialisation
last     7 8 9 10 11 12     10 11 12    5 6
uniform  2 4 6 8 10 12      4 8 12      3 6       TinyBERT, PKD-Skip
nearest  2 4 6 8 10 12      4 8 12      3 6       ANON: jN/M rounded to the nearest, not down (of 8: 3 5 8)
spread   1 3 5 8 10 12      1 7 12      1 6       DistilBERT initialisation
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from limbeck.errors import ConfigError, near_misses

__all__ = ["LAYER_MAPS", "choose_layers", "hint_pairs"]

LAYER_MAPS = ("first", "last", "uniform", "nearest", "spread")


def choose_layers(
    layers: str | Sequence[int],
    *,
    teacher_layers: int,
    keep: int | Literal["half"] | None = None,
    whose: str = "teacher",
) -> tuple[int, ...]:
    """Return the teacher layers (from 1) that student layers 1, 2, ... correspond to.

    Args:
        layers: a name from the table above, or the layers themselves, counted from 1.
        teacher_layers: depth N of the teacher.
        keep: depth M of the student, ``half`` for N // 2; needed with a name, and checked against a list.
        whose: word in messages for the model that the layers are taken from.

    Raises:
        ConfigError: an unknown name, a layer or a depth outside 1..N, or layers not in
            ascending order.
    """
    if keep == "half":
        keep = max(1, teacher_layers // 2)
    if isinstance(layers, str):
        if layers not in LAYER_MAPS:
            raise ConfigError(f"unknown layer map '{layers}': {near_misses(layers, LAYER_MAPS)}")
        if keep is None:
            raise ConfigError(f"layer map '{layers}' needs the number of layers to keep (keep: ...)")
        if not 1 <= keep <= teacher_layers:
            raise ConfigError(
                f"cannot keep {keep} layers of a {whose} with {teacher_layers}: choose 1 to {teacher_layers}"
            )
        return _named(layers, teacher_layers, keep)
    chosen = tuple(layers)
    outside = [layer for layer in chosen if not 1 <= layer <= teacher_layers]
    if outside or not chosen:
        raise ConfigError(
            f"layer map {list(chosen)} is out of range: the {whose} has layers 1 to {teacher_layers} (counted from 1)"
        )
    if sorted(set(chosen)) != list(chosen):
        raise ConfigError(f"layer map {list(chosen)} must list each layer once, in ascending order")
    if keep is not None and keep != len(chosen):
        raise ConfigError(f"layer map {list(chosen)} lists {len(chosen)} layers, but keep is {keep}")
    return chosen


def _named(name: str, n: int, m: int) -> tuple[int, ...]:
    if name == "first":
        return tuple(range(1, m + 1))
    if name == "last":
        return tuple(range(n - m + 1, n + 1))
    if name == "uniform":
        return tuple(j * n // m for j in range(1, m + 1))
    if name == "nearest":
        return tuple((2 * j * n + m) // (2 * m) for j in range(1, m + 1))
    if m == 1:
        return (1,)
    return tuple(1 + round(j * (n - 1) / (m - 1)) for j in range(m))


def hint_pairs(strategy: str, *, teacher_layers: int, student_layers: int) -> tuple[tuple[int, int], ...]:
    """Return PKD's (student layer, teacher layer) pairs for all student layers but the last.

    The last layer is left out because the logits term covers it. ``skip`` takes every N/M-th
    teacher layer, ``last`` the layers just before the teacher's last (Sun et al. 2019, section 3.2).

    Raises:
        ConfigError: unknown strategy, a student deeper than the teacher, or with one layer.
    """
    if strategy not in ("skip", "last"):
        raise ConfigError(f"unknown PKD strategy '{strategy}': {near_misses(strategy, ('skip', 'last'))}")
    if student_layers > teacher_layers:
        raise ConfigError(f"PKD maps a student of at most the teacher's {teacher_layers} layers, not {student_layers}")
    if student_layers < 2:
        raise ConfigError("PKD needs a student with two or more layers: the last layer carries no hint")
    if strategy == "skip":
        targets = _named("uniform", teacher_layers, student_layers)[:-1]
    else:
        targets = tuple(range(teacher_layers - student_layers + 1, teacher_layers))
    return tuple(zip(range(1, student_layers), targets, strict=True))
