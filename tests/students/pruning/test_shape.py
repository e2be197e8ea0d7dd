"""Widths in words become a shape, and impossible ones are refused with those that fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.students.pruning.shape import Size, Widths, configured, target_shape
from limbeck.students.pruning.units import units_of

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("kind", "widths", "expected"),
    [
        ("bert", Widths(), (32, 4, 72)),
        ("bert", Widths(hidden="half", feed_forward="half"), (16, 2, 32)),  # 36 neurons are rounded down
        ("bert", Widths(heads=3), (24, 3, 72)),  # hidden follows: 8 for each head
        ("bert", Widths(hidden=0.8), (24, 3, 72)),  # 25.6 are three heads
        ("bert", Widths(hidden=24, heads=3), (24, 3, 72)),
        ("gpt2", Widths(heads=0.25), (8, 1, 128)),
        ("llama", Widths(hidden=0.8), (24, 4, 72)),
        ("llama", Widths(heads=0.9), (32, 2, 72)),  # whole groups of two
        ("llama", Widths(hidden=13, feed_forward=9), (13, 4, 9)),  # numbers are taken as they are
        ("qwen2", Widths(hidden=16), (16, 4, 72)),
    ],
    ids=str,
)
def test_widths_in_words(make_family: Make, kind: str, widths: Widths, expected: tuple[int, int, int]) -> None:
    shape = target_shape(make_family(kind), widths)
    assert (shape.hidden, shape.heads, shape.feed_forward) == expected
    assert shape.head_width == 8


@pytest.mark.parametrize(
    ("kind", "widths", "message"),
    [
        ("bert", Widths(hidden=20), r"hidden: 20 does not go with heads: 2.*hidden: 16, heads: 2"),
        ("bert", Widths(hidden=16, heads=4), "8 for each head; hidden: 16 does not go with heads: 4"),
        ("llama", Widths(heads=3), "2 heads share keys and values.*multiple of 2"),
        ("llama", Widths(hidden=40), "hidden: the teacher has 32, so 40 cannot be kept"),
        ("bert", Widths(feed_forward=73), "feed_forward: the teacher has 72"),
        ("gpt2", Widths(heads=5), "heads: the teacher has 4"),
    ],
    ids=str,
)
def test_impossible_widths_are_refused(make_family: Make, kind: str, widths: Widths, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        target_shape(make_family(kind), widths)


@pytest.mark.parametrize("size", ["half", 0.01])
def test_a_share_leaves_something(make_family: Make, size: Size) -> None:
    shape = target_shape(make_family("llama"), Widths(hidden=size, heads=size, feed_forward=size))
    assert min(shape.hidden, shape.heads, shape.feed_forward) >= 1


def test_the_configuration_of_a_narrower_model_says_so_and_the_original_is_unchanged(make_family: Make) -> None:
    model = make_family("qwen2")
    config = configured(model, target_shape(model, Widths(hidden=24, heads=2, feed_forward=40)))
    assert (config.hidden_size, config.num_attention_heads, config.num_key_value_heads) == (24, 2, 1)
    assert (config.intermediate_size, config.head_dim) == (40, 8)
    assert model.config.hidden_size == 32
    assert units_of(type(model)(config)).shape.hidden == 24
