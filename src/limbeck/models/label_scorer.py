"""A causal language model as a classifier: its logits are the scores of the labels after a prompt.

Saved as the language model's own folder with an additional ``verbaliser.json``, which gives the labels' tokens and
how a text becomes a prompt.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.json_file import read_json
from limbeck.models.verbaliser import LabelTokens, label_scores

__all__ = ["LabelScorer", "Verbaliser", "language_model_of", "read_verbaliser", "write_verbaliser"]

_FILE = "verbaliser.json"
_ADVICE = "Write the student again, or copy its folder again"


@dataclass(frozen=True)
class Verbaliser:
    """The labels after a prompt, and how to build the prompt."""

    labels: tuple[str, ...]
    label_ids: tuple[tuple[int, ...], ...]
    """Tokens of each label with its lead and end marker."""
    length_power: float = 1.0
    """b: scores are sums of log-probabilities over (number of tokens)^b."""
    prompt: dict[str, Any] = field(default_factory=dict)
    """A `LabelPrompt` (`limbeck.data.prompts.label_prompt`) as plain values."""
    fields: tuple[str, ...] = ("text",)
    """Names of the text, and of the second text of a pair, in the prompt."""
    explains: bool = False
    """Whether the model was trained to write rationales after ``explain:``."""

    @property
    def longest(self) -> int:
        """Tokens of the longest label."""
        return max(map(len, self.label_ids))


class _Output(NamedTuple):
    logits: Tensor


class LabelScorer(nn.Module):
    """``forward(input_ids, attention_mask).logits`` are the scores ``[B, M]`` of M labels, with gradients.

    Each prompt is run with each label after it: ``B * M`` sequences. Saxena, Janzen and Maass use the same scoring
    for teacher and student.

    Args:
        language_model: a causal model; its configuration gets the labels.
        verbaliser: the labels in its tokens.
    """

    def __init__(self, language_model: Any, verbaliser: Verbaliser) -> None:
        super().__init__()
        self.language_model = language_model
        self.verbaliser = verbaliser
        self.config = language_model.config
        self.config.id2label = dict(enumerate(verbaliser.labels))
        self.config.label2id = {label: i for i, label in enumerate(verbaliser.labels)}

    @property
    def adapter(self) -> Any:
        """The language model's adapter, if it has one."""
        return getattr(self.language_model, "adapter", None)

    @property
    def adapter_layers(self) -> Any:
        """Layers that an adapter inserted into the language model, if any."""
        return getattr(self.language_model, "adapter_layers", None)

    def get_input_embeddings(self) -> nn.Module:
        """Return the language model's table of word embeddings."""
        table: nn.Module = self.language_model.get_input_embeddings()
        return table

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> _Output:
        """Score the labels after prompts that may be padded on either side."""
        rows = []
        for ids, mask in zip(input_ids, attention_mask.bool(), strict=True):
            prompt = ids[mask].tolist()
            rows.append([LabelTokens([*prompt, *label], len(prompt)) for label in self.verbaliser.label_ids])
        scores = label_scores(self.language_model, rows, length_power=self.verbaliser.length_power)
        return _Output(scores)

    def rationale_log_probs(self, rationales: Mapping[str, Tensor]) -> Tensor:
        """Return the mean log-probability of each row's rationale tokens, ``[B]``, 0 if it has none.

        Args:
            rationales: `limbeck.types.Batch.rationales`.
        """
        explained_B = rationales["explained_B"]
        found_B = torch.zeros(len(explained_B), device=explained_B.device)
        if not explained_B.any():
            return found_B
        rows = [
            [LabelTokens(ids[mask].tolist(), int(start))]
            for ids, mask, start in zip(
                rationales["input_ids"], rationales["attention_mask"].bool(), rationales["starts"], strict=True
            )
        ]
        return found_B.masked_scatter(explained_B, label_scores(self.language_model, rows)[:, 0])

    def prompt_states(self, state_RTD: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Return a layer's states ``[B, T, D]`` at the prompts' tokens, from its output in `forward`.

        A prompt's states are the same before each of its labels, so those before the first are taken. Padding gets the
        state of some token.
        """
        first_BTD = state_RTD[:: len(self.verbaliser.label_ids)]
        places_BT = (attention_mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        return first_BTD.gather(1, places_BT[..., None].expand(-1, -1, first_BTD.shape[-1]))


def language_model_of(model: Any) -> Any:
    """Return the part of a model that is saved and adapted: a label scorer's language model, else the model itself."""
    return model.language_model if isinstance(model, LabelScorer) else model


def write_verbaliser(model: Any, folder: Path) -> None:
    """Write ``verbaliser.json``, if the model is a label scorer."""
    if isinstance(model, LabelScorer):
        text = json.dumps(asdict(model.verbaliser), indent=1, ensure_ascii=False)
        (folder / _FILE).write_text(text + "\n", encoding="utf-8")


def read_verbaliser(folder: str | Path) -> Verbaliser | None:
    """Read what `write_verbaliser` wrote; ``None`` if there is none.

    Raises:
        ModelError: it cannot be read.
    """
    path = Path(folder) / _FILE
    if not path.exists():
        return None
    values = read_json(path, _ADVICE)
    try:
        label_ids = tuple(tuple(map(int, ids)) for ids in values["label_ids"])
        labels, fields = tuple(map(str, values["labels"])), tuple(map(str, values["fields"]))
        power, prompt = float(values["length_power"]), dict(values["prompt"])
        explains = bool(values.get("explains", False))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(f"{path} is damaged: {type(error).__name__} {error}. {_ADVICE}") from error
    if len(set(labels)) != len(label_ids) or len(labels) < 2 or not all(label_ids):
        raise ModelError(f"{path} is damaged: {len(set(labels))} labels, {len(label_ids)} rows of tokens. {_ADVICE}")
    if not math.isfinite(power) or min(min(ids) for ids in label_ids) < 0 or not fields:
        raise ModelError(f"{path} is damaged: length_power, label_ids or fields. {_ADVICE}")
    return Verbaliser(labels, label_ids, power, prompt, fields, explains)
