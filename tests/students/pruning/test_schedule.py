"""The cubic schedule, and the units that are left at each moment."""

from __future__ import annotations

from itertools import pairwise

import pytest

from limbeck.students.pruning.schedule import Pruning, kept_share, shape_at
from limbeck.students.pruning.units import Shape

BEFORE = Shape(hidden=32, heads=8, groups=4, head_width=4, feed_forward=72)
AFTER = Shape(hidden=16, heads=2, groups=1, head_width=4, feed_forward=72)


@pytest.mark.parametrize(("progress", "share"), [(0, 1), (0.25, 0.710938), (0.5, 0.5625), (0.75, 0.507813), (1, 0.5)])
def test_the_share_falls_along_a_cubic(progress: float, share: float) -> None:
    assert kept_share(progress, 0.5, Pruning(0, 1)) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(("progress", "share"), [(0, 1), (0.19, 1), (0.4, 0.5625), (0.6, 0.5), (0.9, 0.5)])
def test_it_falls_between_begin_and_end_alone(progress: float, share: float) -> None:
    assert kept_share(progress, 0.5, Pruning(0.2, 0.6)) == pytest.approx(share)


def test_the_shape_begins_whole_ends_as_wanted_and_only_shrinks() -> None:
    shapes = [shape_at(step / 20, BEFORE, AFTER, Pruning(0.1, 0.7)) for step in range(21)]
    assert shapes[0] == shapes[2] == BEFORE
    assert shapes[14:] == [AFTER] * 7
    for first, second in pairwise(shapes):
        assert second.hidden <= first.hidden
        assert second.groups <= first.groups
        assert second.heads == 2 * second.groups
        assert second.feed_forward == 72


def test_the_last_step_of_a_pruning_to_the_end_has_the_final_shape() -> None:
    assert shape_at(1.0, BEFORE, AFTER, Pruning(0, 1)) == AFTER
