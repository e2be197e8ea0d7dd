"""The shape that a model is cut to, as a user says it, and whether models of its class can have it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from limbeck.errors import ConfigError, ModelError
from limbeck.students.pruning.units import Shape, units_of

__all__ = ["Size", "Widths", "configured", "target_shape"]

Size = int | float | Literal["half"]
"""A number, or a share of what there is."""
_FEED_FORWARD = ("intermediate_size", "ffn_dim", "n_inner", "hidden_dim", "ffn_hidden_size", "d_ff")
"""Names of the width of the feed-forward block in configurations."""
_AS_WIDE = ("embedding_size", "word_embed_proj_dim", "pooler_hidden_size")
"""Names of other widths in configurations; where they are equal to that of the hidden states, they stay equal."""
_MULTIPLE = 8
"""Matrices whose sizes are multiples of 8 are the fastest on GPUs."""


@dataclass(frozen=True)
class Widths:
    """What a user wants of each axis; ``None``: as many as there are."""

    hidden: Size | None = None
    heads: Size | None = None
    feed_forward: Size | None = None


def target_shape(model: Any, wanted: Widths) -> Shape:
    """Return the shape of a model cut to the widths that a user wants.

    Shares are rounded down, to multiples of 8 where there are as many units, and to whole groups of heads with shared
    keys and values. Numbers are taken as they are. In models whose hidden states are as wide as all heads together
    (BERT and its kin), one of the two follows from the other.

    Raises:
        ConfigError: more than there are, a part of a group, or widths that do not go together.
        ModelError: the units of the model cannot be told apart.
    """
    before = units_of(model).shape
    of_group = before.heads // before.groups
    if (wanted.hidden or wanted.heads) and _hidden_is_all_heads(model, before):
        hidden, heads = _tied(wanted, before, of_group)
    else:
        hidden = _number("hidden", wanted.hidden, before.hidden, _MULTIPLE)
        heads = _number("heads", wanted.heads, before.heads, of_group)
    if heads % of_group:
        raise ConfigError(
            f"student.pruned.heads: in this teacher, {of_group} heads share keys and values and are cut together, so "
            f"{heads} heads are impossible. Use a multiple of {of_group}"
        )
    feed_forward = _number("feed_forward", wanted.feed_forward, before.feed_forward, _MULTIPLE)
    return Shape(hidden, heads, heads // of_group, before.head_width, feed_forward)


def configured(model: Any, shape: Shape) -> Any:
    """Return the configuration of a model of the class of `model` and another shape.

    Raises:
        ModelError: it has no field for the width of the feed-forward block.
    """
    config, before = copy.deepcopy(model.config), units_of(model).shape
    text = config.get_text_config()
    for name in _AS_WIDE:
        if getattr(text, name, None) == before.hidden:
            setattr(text, name, shape.hidden)
    text.hidden_size, text.num_attention_heads = shape.hidden, shape.heads
    if isinstance(getattr(text, "num_key_value_heads", None), int):
        text.num_key_value_heads = shape.groups
    if getattr(text, "head_dim", None) is not None or shape.hidden != shape.heads * shape.head_width:
        text.head_dim = shape.head_width
    field = _feed_forward_field(text, before.feed_forward)
    if field is not None:
        setattr(text, field, shape.feed_forward)
    elif shape.feed_forward != before.feed_forward:
        raise ModelError(
            f"the configuration of {type(model).__name__} has no known field for the width {before.feed_forward} of "
            "its feed-forward blocks. Leave student.pruned.feed_forward out"
        )
    return type(config).from_dict(config.to_dict(), attn_implementation=config._attn_implementation)


def _feed_forward_field(config: Any, now: int) -> str | None:
    """Return the field of the width of the feed-forward block; GPT-2's may be empty, for four times the hidden one."""
    found = (name for name in _FEED_FORWARD if hasattr(config, name) and getattr(config, name) in (now, None))
    return next(found, None)


def _hidden_is_all_heads(model: Any, shape: Shape) -> bool:
    """Whether models of this class have heads of width ``hidden / heads``: another width changes nothing in them."""
    if shape.hidden != shape.heads * shape.head_width:
        return False
    try:
        with torch.device("meta"):
            probe = type(model)(configured(model, replace(shape, head_width=2 * shape.head_width)))
        return units_of(probe).shape.head_width == shape.head_width
    except Exception:  # transformers rejects values with many kinds of error
        return True


def _tied(wanted: Widths, before: Shape, of_group: int) -> tuple[int, int]:
    """Return the number of hidden units and heads of a model in which one follows from the other."""
    step = before.head_width * of_group
    if wanted.hidden is None:
        heads = _number("heads", wanted.heads, before.heads, of_group)
        return heads * before.head_width, heads
    hidden = _number("hidden", wanted.hidden, before.hidden, step)
    fits = f"hidden: {max(1, hidden // step) * step}, heads: {max(1, hidden // step) * of_group}"
    heads = _number("heads", wanted.heads, before.heads, of_group) if wanted.heads else hidden // before.head_width
    if hidden != heads * before.head_width:
        raise ConfigError(
            f"student.pruned.hidden: in this kind of model the hidden states are as wide as all heads together, "
            f"{before.head_width} for each head; hidden: {hidden} does not go with heads: {heads}. Give one of the "
            f"two, or both so that they agree ({fits})"
        )
    return hidden, heads


def _number(name: str, wanted: Size | None, there: int, multiple: int) -> int:
    """Return how many of the units that are there are kept."""
    if wanted is None:
        return there
    if isinstance(wanted, int):
        if wanted > there:
            raise ConfigError(f"student.pruned.{name}: the teacher has {there}, so {wanted} cannot be kept")
        return wanted
    count = int(there * (0.5 if wanted == "half" else float(wanted)))
    return count // multiple * multiple or (multiple if multiple != _MULTIPLE else max(1, count))
