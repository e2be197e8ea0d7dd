"""How one state for a whole text is made from the states of its tokens, as the model was trained for it.

A sentence encoder's folder says so (``modules.json`` and the folder of its pooling). A model that was never trained
to represent a whole text is read as the classifier of its architecture in transformers does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.json_file import read_json, read_json_list
from limbeck.numerics.masking import first_token, last_token, mean_of_tokens

__all__ = ["Pooling", "StatePooling", "pooled", "pooling_of", "trained_pooling"]

StatePooling = Literal["mean", "first", "last"]
"""Mean over the tokens of the text, or the state of its first or last token."""

Pooling = Literal["mean", "first", "last", "pooler"]
"""``pooler``: what the classifier of the architecture in transformers does: often a further layer on the first token
(BERT's pooler), for causal models the last token."""

_STATES: dict[StatePooling, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_of_tokens,
    "first": first_token,
    "last": last_token,
}
_MODES: dict[str, StatePooling] = {"mean": "mean", "cls": "first", "lasttoken": "last"}
"""Sentence Transformers' names that have an equivalent here."""
_OLD = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""Its flags before version 6, and the names since then."""


def pooled(states_BTD: Tensor, mask_BT: Tensor, how: StatePooling) -> Tensor:
    """Return one state for each text, ``[B, D]``, as Sentence Transformers computes it.

    Args:
        states_BTD: the last layer's states.
        mask_BT: 1 at tokens of the text (special tokens included), 0 at padding on either side.
        how: the mean over the text's tokens, or its first or last one.
    """
    return _STATES[how](states_BTD, mask_BT)


def pooling_of(folder: Path, config: Any) -> Pooling:
    """Return how a model was trained to be read: `trained_pooling`, else ``pooler``.

    Args:
        folder: the model's folder.
        config: its configuration. A model with an encoder and a decoder is read by its own class.

    Raises:
        ModelError: a file of the sentence encoder is damaged.
    """
    if config.is_encoder_decoder:
        return "pooler"
    return trained_pooling(folder) or "pooler"


def trained_pooling(folder: Path) -> StatePooling | None:
    """Return the pooling of a sentence encoder, from its files; ``None`` if the folder is no sentence encoder.

    ``None`` also for the modes that have no equivalent here (maxima, weights by position, several modes at once).

    Raises:
        ModelError: ``modules.json`` or the configuration of the pooling is damaged.
    """
    listed = folder / "modules.json"
    if not listed.exists():
        return None
    for module in read_json_list(listed):
        if isinstance(module, dict) and str(module.get("type")).rsplit(".", 1)[-1] == "Pooling":
            return _mode(folder, str(module.get("path")))
    return None


def _mode(folder: Path, name: str) -> StatePooling | None:
    if name != Path(name).name or name in ("", ".."):
        raise ModelError(
            f"{folder / 'modules.json'} is damaged: the pooling's path '{name[:80]}' is no folder beside it. "
            "Copy or download the model again"
        )
    values = read_json(folder / name / "config.json")
    mode = values.get("pooling_mode", [new for old, new in _OLD.items() if values.get(old)])
    modes = [mode] if isinstance(mode, str) else mode
    return _MODES.get(str(modes[0])) if isinstance(modes, list) and len(modes) == 1 else None
