"""Terms that compare the features of a step's rows with each other, by their gold labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.term import Output, Term
from limbeck.numerics.contrastive import has_partner, pair_cosine_error, supervised_contrastive
from limbeck.types import UNLABELLED, Batch, Needs, Signal

__all__ = ["PairCosine", "SupervisedContrastive"]

_NEEDS = Needs(labels=True, features=True)


@dataclass(frozen=True)
class PairCosine(Term):
    """``(cos(u, v) - [same class])^2`` of the features of each pair of consecutive rows (Tunstall et al. 2022)."""

    suits = frozenset[Output](("classes",))

    @property
    def needs(self) -> Needs:
        return _NEEDS

    @property
    def rows_together(self) -> int:
        return 2

    def mask(self, batch: Batch) -> Tensor:
        """Return the rows of pairs with two labels."""
        known_P2 = batch["labels_B"].view(-1, 2) != UNLABELLED
        return known_P2.all(dim=-1).repeat_interleave(2)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return pair_cosine_error(features_BD=student["features_BD"], labels_B=batch["labels_B"])


@dataclass(frozen=True)
class SupervisedContrastive(Term):
    """``-mean_p log(exp(z z_p / t) / sum_a exp(z z_a / t))`` of each row, p and a other rows of the step.

    z are its features divided by their length, p the rows of its class (Khosla et al. 2020).
    """

    suits = frozenset[Output](("classes",))
    similarity_temperature: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.similarity_temperature < float("inf"):
            raise ConfigError(f"similarity_temperature must be a number above 0, not {self.similarity_temperature}")

    @property
    def needs(self) -> Needs:
        return _NEEDS

    @property
    def rows_together(self) -> None:
        return None

    def mask(self, batch: Batch) -> Tensor:
        """Return the labelled rows with another row of their class in the step."""
        labels_B = batch["labels_B"]
        return has_partner(labels_B) & (labels_B != UNLABELLED)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return supervised_contrastive(
            features_BD=student["features_BD"],
            labels_B=batch["labels_B"],
            temperature=self.similarity_temperature,
        )
