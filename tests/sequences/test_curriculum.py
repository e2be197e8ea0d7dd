"""Easy rows first: specification of ANON, section 2.7."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.sequences.curriculum import Curriculum, CurriculumSequences, difficulty, nested_parts
from limbeck.sequences.fixed import FixedSequences

DIFFICULTIES = np.array([0.05, 0.10, 0.20, 0.30, 0.45, 0.50, 0.70, 0.80, 0.95])
ONE_CLASS = np.zeros(9, dtype=np.int64)


@pytest.mark.parametrize(
    ("probs", "entropy", "least_sure"),
    [
        ((1 / 3, 1 / 3, 1 / 3), 1.0, 2 / 3),
        ((0.98, 0.01, 0.01), 0.101858, 0.02),
        ((0.7, 0.2, 0.1), 0.729847, 0.3),
        ((0.6, 0.3, 0.1), 0.817345, 0.4),
        ((1.0, 0.0, 0.0), 0.0, 0.0),
    ],
)
def test_how_hard_a_row_is(probs: tuple[float, ...], entropy: float, least_sure: float) -> None:
    rows = np.array([probs])
    assert difficulty(rows)[0] == pytest.approx(entropy, abs=1e-6)
    assert difficulty(rows, "least_sure")[0] == pytest.approx(least_sure, abs=1e-12)


def test_a_row_is_hard_by_the_students_loss() -> None:
    teacher, student = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]]), np.array([[0.6, 0.3, 0.1], [0.5, 0.5, 1e-300]])
    assert difficulty(teacher, "student_loss", np.log(student)) == pytest.approx([0.828631, np.log(2)], abs=1e-6)


def test_parts_end_at_the_linear_quantiles() -> None:
    assert np.quantile(DIFFICULTIES, [1 / 3, 2 / 3]) == pytest.approx([0.266667, 0.566667], abs=1e-6)
    shuffled = np.random.default_rng(0).permutation(9)
    parts = nested_parts(DIFFICULTIES[shuffled], ONE_CLASS, Curriculum(3))
    assert [len(part) for part in parts] == [3, 6, 9]
    assert set(DIFFICULTIES[shuffled][parts[0]]) == {0.05, 0.10, 0.20}
    assert set(parts[0]) < set(parts[1]) < set(parts[2])


def random_pool(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows whose easy ones are nearly all of class 0; class 2 has two rows."""
    rng = np.random.default_rng(seed)
    hard = rng.random(200)
    classes = np.where(rng.random(200) < hard, 1, 0)
    classes[np.argsort(hard)[-2:]] = 2
    return hard, classes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("quota", [0.1, 0.16, 0.5])
def test_every_class_has_its_share_of_every_part_unless_the_pool_lacks_it(seed: int, quota: float) -> None:
    hard, classes = random_pool(seed)
    parts = nested_parts(hard, classes, Curriculum(4, class_quota=quota))
    for smaller, larger in itertools.pairwise(parts):
        assert set(smaller) <= set(larger)
    assert len(parts[-1]) == 200
    for part in parts:
        counts, all_of = np.bincount(classes[part], minlength=3), np.bincount(classes, minlength=3)
        for c in range(3):
            assert counts[c] >= min(quota, 1 / 6) * len(part) or counts[c] == all_of[c]


def test_the_quota_adds_the_easiest_rows_of_a_class() -> None:
    """The easy half is of class 0 alone, so all of class 1 in it is what the quota added.

    10 rows ask for ceil(2.5) = 3 more; the 13 that there are then ask for a fourth, and 14 for no fifth.
    """
    hard = np.array([*np.linspace(0.0, 0.1, 12), *np.linspace(0.5, 0.9, 8)])
    classes = np.repeat([0, 1], [12, 8])
    shuffled = np.random.default_rng(2).permutation(20)
    first, _ = nested_parts(hard[shuffled], classes[shuffled], Curriculum(2, class_quota=0.25))
    added = np.sort(hard[shuffled][first[classes[shuffled][first] == 1]])
    np.testing.assert_array_equal(added, hard[12:16])
    assert len(first) == 14


@pytest.mark.parametrize(
    ("hard", "sizes"),
    [
        ([0.1, 0.9, 0.1, 0.1, 0.9, 0.1], [4, 4, 6]),  # the quantiles are 0.1 and 0.63
        ([0.9, 0.5, 0.1, 0.5, 0.5, 0.5], [5, 5, 6]),  # 0.5 and 0.5
        ([0.3] * 6, [6, 6, 6]),
    ],
)
def test_rows_as_hard_as_the_border_are_on_the_easy_side(hard: list[float], sizes: list[int]) -> None:
    """None of them is harder than another, so no part may hold some of them and not the others."""
    parts = nested_parts(np.array(hard), np.zeros(6, dtype=np.int64), Curriculum(3))
    assert [len(part) for part in parts] == sizes


def test_among_rows_as_hard_as_each_other_the_quota_takes_the_first() -> None:
    hard = np.array([0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5])
    classes = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    first, _ = nested_parts(hard, classes, Curriculum(2, class_quota=0.25))
    np.testing.assert_array_equal(first, [0, 1, 2, 3, 4, 5])


def test_without_a_quota_a_part_is_what_the_quantile_says() -> None:
    hard, classes = random_pool(0)
    parts = nested_parts(hard, classes, Curriculum(4, class_quota=0.0))
    assert [len(part) for part in parts] == [50, 100, 150, 200]


def plan(parts: list[NDArray[np.int64]], *, steps: int, seed: int = 3) -> CurriculumSequences:
    lengths = np.random.default_rng(1).integers(3, 20, 200)
    return CurriculumSequences(tuple(parts), lengths, batch_size=4, steps=steps, seed=seed)


def test_one_part_is_plain_training_batch_for_batch() -> None:
    hard, classes = random_pool(0)
    one = plan(nested_parts(hard, classes, Curriculum(1)), steps=130)
    plain = FixedSequences(np.arange(200), one.lengths, 4, 130, 3)
    for mine, theirs in zip(one.batches(), plain.batches(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_parts_follow_each_other_and_are_passed_over_equally_often() -> None:
    hard, classes = random_pool(1)
    parts = nested_parts(hard, classes, Curriculum(4, class_quota=0.0))
    sequences = plan(parts, steps=250)  # 1000 rows drawn, 500 rows in all parts: each part twice
    assert sequences.part_steps() == [25, 50, 75, 100]
    batches = list(sequences.batches())
    start = 0
    for part, steps in zip(parts, sequences.part_steps(), strict=True):
        drawn = np.concatenate(batches[start : start + steps])
        np.testing.assert_array_equal(np.unique(drawn), part)
        assert (np.bincount(drawn)[part] == 2).all()
        start += steps
    assert start == len(batches) == 250


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_the_steps_of_all_parts_are_those_asked_for(steps: int) -> None:
    hard, classes = random_pool(2)
    sequences = plan(nested_parts(hard, classes, Curriculum(3)), steps=steps)
    assert sum(sequences.part_steps()) == steps == len(list(sequences.batches()))


def test_micro_batches_and_ranks_share_each_step() -> None:
    hard, classes = random_pool(2)
    sequences = plan(nested_parts(hard, classes, Curriculum(3)), steps=9)
    whole = list(sequences.batches())
    ranks = [list(sequences.micro_batches(4, rank=rank, ranks=2)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        parts = [part for rank in ranks for part in rank[2 * step : 2 * step + 2]]
        assert sorted(np.concatenate(parts)) == sorted(batch)


@pytest.mark.parametrize(("parts", "quota"), [(0, 0.1), (3, -0.1), (3, 1.5)])
def test_impossible_curricula(parts: int, quota: float) -> None:
    with pytest.raises(ConfigError):
        Curriculum(parts, class_quota=quota)
