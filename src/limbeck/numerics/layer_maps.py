"""Which teacher layer each student layer corresponds to. Layers are counted from 1.

name     6 of 12            3 of 12     2 of 6    used by
first    1 2 3 4 5 6        1 2 3       1 2       PKD initialisation
last     7 8 9 10 11 12     10 11 12    5 6
uniform  2 4 6 8 10 12      4 8 12      3 6       TinyBERT, PKD-Skip
nearest  2 4 6 8 10 12      4 8 12      3 6       ANON: jN/M rounded to the nearest, not down (of 8: 3 5 8)
spread   1 3 5 8 10 12      1 7 12      1 6       DistilBERT initialisation
middle   4 5 6 7 8 9        5 6 7       3 4       MiniMA: as many dropped at both ends, an odd one at the end

For layers that are compared and not copied there is also ``cka``: those that are most alike on the rows of a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from limbeck.errors import ConfigError, near_misses

__all__ = ["BY_SIMILARITY", "LAYER_MAPS", "Similarity", "choose_layers", "compared_layers", "hint_pairs", "most_alike"]

LAYER_MAPS = ("first", "last", "middle", "uniform", "nearest", "spread")
BY_SIMILARITY = "cka"
"""The name of the map that is chosen from data."""

Similarity = Sequence[Sequence[float]]
"""How alike each student layer (row) is to each teacher layer; empty: not measured."""


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
        if layers == BY_SIMILARITY:
            raise ConfigError(
                f"layer map '{layers}' chooses layers to compare, not layers to copy: a student to be has no states "
                f"that could be alike. Choose one of {', '.join(LAYER_MAPS)}, or list the layers"
            )
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


def compared_layers(
    layers: str, *, teacher_layers: int, student_layers: int, similarity: Similarity = ()
) -> tuple[int, ...]:
    """Return the teacher layer that each student layer is compared with: `choose_layers`, or ``cka``.

    Until it is measured, the uniform map stands in for that: it has as many layers and needs as much memory.
    """
    if layers != BY_SIMILARITY:
        return choose_layers(layers, teacher_layers=teacher_layers, keep=student_layers)
    if not similarity or student_layers > teacher_layers:
        return choose_layers("uniform", teacher_layers=teacher_layers, keep=student_layers)
    return most_alike(similarity)


def most_alike(similarity: Similarity) -> tuple[int, ...]:
    """Return the ascending map of all student layers with the highest sum of similarities; each layer is taken once.

    Of equal sums, the map with the lower layers.

    Args:
        similarity: ``[student layers, teacher layers]``, at least as many of these.

    Example:
        >>> most_alike([[0.9, 0.8, 0.1], [0.95, 0.2, 0.3]])  # not 1 and 1, and not 2 before 1
        (1, 3)
    """
    columns = len(similarity[0])
    assert len(similarity) <= columns
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())] * (columns + 1)
    for place, of_layer in enumerate(similarity, start=1):
        # best[j]: the highest sum for the student's layers so far, and their map into the teacher's first j
        impossible = (-math.inf, ())
        new: list[tuple[float, tuple[int, ...]]] = [impossible] * (columns + 1)
        for layer in range(place, columns + 1):
            before, chosen = best[layer - 1]
            taken = (before + of_layer[layer - 1], (*chosen, layer))
            new[layer] = taken if taken[0] > new[layer - 1][0] else new[layer - 1]
        best = new
    return best[columns][1]


def _named(name: str, n: int, m: int) -> tuple[int, ...]:
    if name == "first":
        return tuple(range(1, m + 1))
    if name == "last":
        return tuple(range(n - m + 1, n + 1))
    if name == "middle":
        return tuple(range((n - m) // 2 + 1, (n - m) // 2 + m + 1))
    if name == "uniform":
        return tuple(j * n // m for j in range(1, m + 1))
    if name == "nearest":
        return tuple((2 * j * n + m) // (2 * m) for j in range(1, m + 1))
    if m == 1:
        return (1,)
    return tuple(1 + round(j * (n - 1) / (m - 1)) for j in range(m))


def hint_pairs(
    strategy: str, *, teacher_layers: int, student_layers: int, similarity: Similarity = ()
) -> tuple[tuple[int, int], ...]:
    """Return PKD's (student layer, teacher layer) pairs for all student layers but the last.

    The last layer is left out because the logits term covers it. ``skip`` takes every N/M-th
    teacher layer, ``last`` the layers just before the teacher's last (Sun et al. 2019, section 3.2), ``cka`` those
    before the teacher's last that are most alike; until it is measured, ``skip`` stands in for it.

    Raises:
        ConfigError: unknown strategy, a student deeper than the teacher, or with one layer.
    """
    strategies = ("skip", "last", BY_SIMILARITY)
    if strategy not in strategies:
        raise ConfigError(f"unknown PKD strategy '{strategy}': {near_misses(strategy, strategies)}")
    if student_layers > teacher_layers:
        raise ConfigError(f"PKD maps a student of at most the teacher's {teacher_layers} layers, not {student_layers}")
    if student_layers < 2:
        raise ConfigError("PKD needs a student with two or more layers: the last layer carries no hint")
    if strategy == BY_SIMILARITY and similarity:
        targets = most_alike([row[: teacher_layers - 1] for row in similarity[: student_layers - 1]])
    elif strategy != "last":
        targets = _named("uniform", teacher_layers, student_layers)[:-1]
    else:
        targets = tuple(range(teacher_layers - student_layers + 1, teacher_layers))
    return tuple(zip(range(1, student_layers), targets, strict=True))
