"""The interface of a term: one differentiable quantity per row or token, and what training must know about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.reduction import Reduction
from limbeck.numerics.token_losses import TokenLoss
from limbeck.types import UNLABELLED, Batch, Needs, Shapes, Signal

__all__ = ["ALL_OUTPUTS", "Output", "Term", "WeightedTerm", "bind_terms", "needs_of", "predictions"]

Output = Literal["classes", "labels", "values", "tags", "candidates", "tokens", "masked_tokens"]
"""A student's output: for each row a class, several labels, or real values; a tag for each word; a score for each
candidate; the next token; the token behind each mask."""
ALL_OUTPUTS: frozenset[Output] = frozenset(get_args(Output))


def predictions(batch: Batch) -> Tensor:
    """Return where a student predicts, bool: every row ``[B]``, every word or supervised token ``[B, T]``."""
    if "words_BT" in batch:
        return batch["words_BT"]
    if "labels_BT" in batch:
        return batch["labels_BT"] != UNLABELLED
    return torch.ones_like(batch["rows_B"], dtype=torch.bool)


class Term(ABC):
    """One differentiable quantity per row or token, unreduced. Sums and means are taken elsewhere, once.

    A term declares what it reads (`needs`), the rows or tokens its mean is over (`mask`), and its value for each
    (`values`). All but `needs` have defaults that suit most terms.
    """

    suits: frozenset[Output] = ALL_OUTPUTS
    """The outputs of students that it can read."""
    reaches_teacher: bool = False
    """Whether its gradient reaches the teacher's signal, for stages that train the teacher (`Stage.outer`)."""

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What this term reads."""

    def bind(self, shapes: Shapes) -> Term:
        """Return this term for one stage of a pair of models: layer map resolved, parameters and state fresh.

        Raises:
            ConfigError: the term cannot compare these models.
        """
        return self

    def of(self, output: Output) -> Term:
        """Return the equivalent term for a student with another output; most terms read one output only."""
        return self

    def module(self) -> nn.Module | None:
        """Return its own parameters, created by `bind`: trained with the student, checkpointed, never exported."""
        return None

    @property
    def kept_modules(self) -> Mapping[str, nn.Module]:
        """Parts of `module` that later stages of the student can go on with, by name."""
        return {}

    @property
    def continues(self) -> bool:
        """Whether its `kept_modules` begin as an earlier stage left those of the same names."""
        return False

    def mask(self, batch: Batch) -> Tensor:
        """Return which rows ``[B]`` or tokens ``[B, T]`` count, bool; known before any forward pass."""
        return predictions(batch)

    @property
    def reduction(self) -> Reduction:
        """How the tokens of a mask ``[B, T]`` are averaged."""
        return "token"

    @property
    def by_row(self) -> bool:
        """Whether the value depends on which row a token is in; if so, texts may not be packed into one row."""
        return True

    @property
    def rows_together(self) -> int | None:
        """How many consecutive rows of a step must be in one micro-batch, as their values depend on each other.

        ``None``: all of them.
        """
        return 1

    @property
    def compared_layers(self) -> tuple[tuple[int, int], ...]:
        """The (student layer, teacher layer) pairs that it compares, once bound; counted from 1."""
        return ()

    @property
    def token_loss(self) -> TokenLoss | None:
        """A loss of next-token logits, computed with others of its kind in one pass; ``None``: use `values`."""
        return None

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        """Return the value for each row or token, float32, in the shape of `mask`, or ``[S]`` at supervised positions.

        Values that do not count may be anything finite.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither values nor a token_loss")

    def metrics(self, student: Signal, teacher: Signal) -> dict[str, Tensor]:
        """Return other values worth logging, by name: one for each prediction, to be averaged."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on, as JSON holds it exactly; it goes into checkpoints."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Continue from a state."""

    def step_end(self, mean: float, progress: float) -> None:  # noqa: B027
        """Advance to the next optimiser step. Called only for terms with a state.

        Args:
            mean: of this term over the step.
            progress: share of the stage's steps that are done.
        """

    def logged(self) -> dict[str, float]:
        """Return the part of its state that is worth logging, by name."""
        return {}


@dataclass(frozen=True)
class WeightedTerm:
    """A term, its name in logs, and its weight in the sum."""

    name: str
    term: Term
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(f"the weight of '{self.name}' must be a number of at least 0, not {self.weight}")


def bind_terms(terms: tuple[WeightedTerm, ...], shapes: Shapes) -> tuple[WeightedTerm, ...]:
    """Bind terms to a pair of models; drop those with weight 0, so that nothing is computed for them."""
    return tuple(WeightedTerm(name=t.name, term=t.term.bind(shapes), weight=t.weight) for t in terms if t.weight > 0)


def needs_of(terms: tuple[WeightedTerm, ...]) -> Needs:
    """Return everything that `terms` with positive weight need."""
    return reduce(or_, (t.term.needs for t in terms if t.weight > 0), Needs())
