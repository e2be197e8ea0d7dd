"""Which teacher layer goes with which student layer: the published maps, and refusals."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import ConfigError
from limbeck.numerics import layer_maps
from limbeck.numerics.layer_maps import LAYER_MAPS, choose_layers, compared_layers, hint_pairs, most_alike

depths = st.integers(1, 48).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@pytest.mark.parametrize(
    ("name", "teacher_layers", "layers"),
    [
        ("first", 12, (1, 2, 3, 4, 5, 6)),
        ("first", 12, (1, 2, 3)),
        ("first", 6, (1, 2)),
        ("last", 12, (7, 8, 9, 10, 11, 12)),
        ("last", 12, (10, 11, 12)),
        ("last", 6, (5, 6)),
        ("uniform", 12, (2, 4, 6, 8, 10, 12)),
        ("uniform", 12, (3, 6, 9, 12)),
        ("uniform", 12, (4, 8, 12)),
        ("uniform", 6, (3, 6)),
        ("nearest", 12, (4, 8, 12)),
        ("nearest", 8, (3, 5, 8)),
        ("nearest", 5, (3, 5)),
        ("nearest", 4, (4,)),
        ("spread", 12, (1, 3, 5, 8, 10, 12)),
        ("spread", 12, (1, 7, 12)),
        ("spread", 6, (1, 6)),
        ("spread", 6, (1,)),
    ],
)
def test_named_maps(name: str, teacher_layers: int, layers: tuple[int, ...]) -> None:
    assert choose_layers(name, teacher_layers=teacher_layers, keep=len(layers)) == layers


def test_the_table_of_the_docstring_is_what_the_function_gives() -> None:
    rows = re.findall(r"^(first|last|uniform|nearest|spread) +(.+)$", layer_maps.__doc__ or "", re.MULTILINE)
    assert len(rows) == 5
    for name, cells in rows:
        columns = re.split(r" {2,}", cells)
        for keep, of, cell in [(6, 12, columns[0]), (3, 12, columns[1]), (2, 6, columns[2])]:
            layers = choose_layers(name, teacher_layers=of, keep=keep)
            assert " ".join(map(str, layers)) == cell, (name, keep, of)


def test_distilbert_starts_from_the_layers_of_its_released_code() -> None:
    layers = choose_layers("spread", teacher_layers=12, keep=6)
    assert [layer - 1 for layer in layers] == [0, 2, 4, 7, 9, 11]


@given(depths, st.sampled_from(LAYER_MAPS))
def test_every_named_map_is_ascending_and_inside_the_teacher(depth: tuple[int, int], name: str) -> None:
    teacher_layers, keep = depth
    layers = choose_layers(name, teacher_layers=teacher_layers, keep=keep)
    assert len(layers) == keep
    assert sorted(set(layers)) == list(layers)
    assert layers[0] >= 1
    assert layers[-1] <= teacher_layers


@given(st.integers(1, 48), st.sampled_from(LAYER_MAPS))
def test_keeping_all_layers_is_the_identity(teacher_layers: int, name: str) -> None:
    everything = tuple(range(1, teacher_layers + 1))
    assert choose_layers(name, teacher_layers=teacher_layers, keep=teacher_layers) == everything


def test_layers_by_number_are_taken_as_they_are() -> None:
    assert choose_layers([1, 4, 12], teacher_layers=12) == (1, 4, 12)
    assert choose_layers([1, 4, 12], teacher_layers=12, keep=3) == (1, 4, 12)


@pytest.mark.parametrize(
    ("layers", "keep", "message"),
    [
        ("sprad", 3, "unknown layer map 'sprad': did you mean 'spread'?"),
        ("spread", None, "needs the number of layers to keep"),
        ("spread", 0, "cannot keep 0 layers of a teacher with 6: choose 1 to 6"),
        ("spread", 7, "cannot keep 7 layers of a teacher with 6: choose 1 to 6"),
        ([0, 1], None, "out of range: the teacher has layers 1 to 6"),
        ([1, 7], None, "out of range: the teacher has layers 1 to 6"),
        ([], None, "out of range"),
        ([3, 1], None, "each layer once, in ascending order"),
        ([3, 3], None, "each layer once, in ascending order"),
        ([1, 2], 3, "lists 2 layers, but keep is 3"),
    ],
)
def test_refusals(layers: str | list[int], keep: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        choose_layers(layers, teacher_layers=6, keep=keep)


@pytest.mark.parametrize(
    ("strategy", "teacher_layers", "student_layers", "targets"),
    [
        ("skip", 12, 6, (2, 4, 6, 8, 10)),
        ("last", 12, 6, (7, 8, 9, 10, 11)),
        ("skip", 12, 3, (4, 8)),
        ("last", 12, 3, (10, 11)),
        ("skip", 6, 2, (3,)),
        ("last", 6, 2, (5,)),
        ("skip", 4, 4, (1, 2, 3)),
        ("last", 4, 4, (1, 2, 3)),
    ],
)
def test_hint_pairs(strategy: str, teacher_layers: int, student_layers: int, targets: tuple[int, ...]) -> None:
    pairs = hint_pairs(strategy, teacher_layers=teacher_layers, student_layers=student_layers)
    assert pairs == tuple(zip(range(1, student_layers), targets, strict=True))


@pytest.mark.parametrize(
    ("strategy", "student_layers", "message"),
    [
        ("skp", 3, "unknown PKD strategy 'skp': did you mean 'skip'?"),
        ("skip", 7, "at most the teacher's 6 layers, not 7"),
        ("last", 1, "two or more layers"),
    ],
)
def test_hint_pairs_refusals(strategy: str, student_layers: int, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        hint_pairs(strategy, teacher_layers=6, student_layers=student_layers)


def test_half_of_the_layers() -> None:
    assert choose_layers("uniform", teacher_layers=6, keep="half") == (2, 4, 6)
    assert choose_layers("first", teacher_layers=7, keep="half") == (1, 2, 3)
    assert choose_layers("last", teacher_layers=1, keep="half") == (1,)


@given(
    depths.filter(lambda pair: pair[0] <= 7).flatmap(
        lambda pair: st.lists(
            st.lists(st.integers(-9, 9), min_size=pair[0], max_size=pair[0]), min_size=pair[1], max_size=pair[1]
        )
    )
)
def test_no_ascending_map_has_a_higher_sum_of_similarities(similarity: list[list[int]]) -> None:
    def worth(layers: tuple[int, ...]) -> int:
        return sum(row[layer - 1] for row, layer in zip(similarity, layers, strict=True))

    every = list(combinations(range(1, len(similarity[0]) + 1), len(similarity)))
    found = most_alike(similarity)
    assert found in every
    assert worth(found) == max(map(worth, every))


def test_a_map_by_similarity() -> None:
    similarity = [[0.9, 0.8, 0.1, 0.0], [0.95, 0.2, 0.3, 0.9]]
    depths = {"teacher_layers": 4, "student_layers": 2}
    assert compared_layers("cka", **depths, similarity=similarity) == (1, 4)
    assert hint_pairs("cka", **depths, similarity=similarity) == ((1, 1),)  # neither model's last layer
    assert hint_pairs("cka", **depths, similarity=[[0.1, 0.2, 0.3, 0.9], similarity[1]]) == ((1, 3),)
    # A stand-in until it is measured.
    assert compared_layers("cka", **depths) == (2, 4)
    assert hint_pairs("cka", **depths) == ((1, 2),)


def test_layers_to_copy_are_not_chosen_by_similarity() -> None:
    with pytest.raises(ConfigError, match="'cka' chooses layers to compare, not layers to copy"):
        choose_layers("cka", teacher_layers=4, keep=2)


def test_a_map_by_similarity_too_has_at_most_the_teachers_layers() -> None:
    with pytest.raises(ConfigError, match="cannot keep 3 layers of a teacher with 2"):
        compared_layers("cka", teacher_layers=2, student_layers=3, similarity=[[0.5, 0.5]] * 3)
