"""A language model and the weighted terms it is trained on, token by token.

All terms on logits are computed in one pass over the supervised positions (`limbeck.numerics.chunked`), so no
tensor of all positions' logits exists, of neither model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.combine import WeightedTerm, needs_of
from limbeck.losses.hints.token_states import TokenHints
from limbeck.losses.teacher_share import GrowingShare, TeacherShare
from limbeck.models.language_model import Head, head_of, token_logits
from limbeck.models.shared_weights import save_shared_once
from limbeck.models.taps import capture
from limbeck.numerics.chunked import chunked_loss, label_log_probs
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.types import UNLABELLED, Batch, DenseLogits, LazyLogits, Needs, Shapes, SparseLogits, WrittenBy

__all__ = ["LogProbTerm", "Reduction", "TokenObjective", "TokenTerm", "supervised_positions"]

Reduction = Literal["token", "sequence", "sum_per_sequence"]
"""``token``: mean over all tokens of a step. ``sequence``: mean over rows of each row's mean over tokens (GKD).
``sum_per_sequence``: mean over rows of each row's sum (losses of whole sequences)."""


def supervised_positions(batch: Batch) -> Tensor:
    """Return which positions predict a token that counts, bool ``[B, T]``."""
    return batch["labels_BT"] != UNLABELLED


@dataclass(frozen=True, kw_only=True)
class _TokenMean:
    """How the tokens of a step are averaged, and those of which rows."""

    reduction: Reduction = "token"
    written_by: tuple[WrittenBy, ...] | None = None
    """Rows whose completion was written by one of these only; ``None``: all rows."""

    def bind(self, shapes: Shapes) -> Self:
        """Return this term: it has no layers to resolve."""
        return self

    @property
    def by_row(self) -> bool:
        """Whether it matters which row a token is in."""
        return self.reduction != "token" or self.written_by is not None

    def counted(self, batch: Batch) -> Tensor:
        """Return what the step's sum is divided by, as a mask: tokens ``[B, T]``, or rows ``[B]``."""
        tokens_BT = self._tokens(batch)
        return tokens_BT if self.reduction == "token" else tokens_BT.any(dim=1)

    def token_weights(self, batch: Batch) -> Tensor:
        """Return each token's weight in the step's sum, float32 ``[B, T]``; 0 where it does not count."""
        tokens_BT = self._tokens(batch)
        weights_BT = tokens_BT.float()
        if self.reduction == "sequence":
            weights_BT = weights_BT / tokens_BT.sum(dim=1, keepdim=True).clamp(min=1)
        return weights_BT

    def _tokens(self, batch: Batch) -> Tensor:
        tokens_BT = supervised_positions(batch)
        if self.written_by is not None:
            allowed = torch.tensor([int(who) for who in self.written_by], device=tokens_BT.device)
            tokens_BT = tokens_BT & torch.isin(batch["written_by_B"], allowed)[:, None]
        return tokens_BT


@dataclass(frozen=True)
class TokenTerm(_TokenMean):
    """A loss of the student's logits at each supervised token."""

    loss: TokenDivergence | LabelLoss
    growth: GrowingShare | None = None
    """Of `interpolated_kl`: how the teacher's weight grows, whatever `loss` has; ``None``: it stays what that says."""

    @property
    def needs(self) -> Needs:
        """Labels or the teacher's distributions."""
        return Needs(labels=True) if isinstance(self.loss, LabelLoss) else Needs(logits=True)


@dataclass(frozen=True)
class LogProbTerm(_TokenMean):
    """A loss of the student's log-probability of each supervised token."""

    @property
    def needs(self) -> Needs:
        """Nothing of a teacher."""
        return Needs()

    def token_values(self, log_probs_S: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each supervised token, ``[S]``, differentiable in `log_probs_S`."""
        raise NotImplementedError


class TokenObjective(nn.Module):
    """``sum_i weight_i * (sum over a step's tokens of term_i) / count_i``, for a language model.

    Args:
        student: a causal or a sequence-to-sequence language model.
        terms: `TokenTerm`s, `LogProbTerm`s and `TokenHints` with their weights.
        vocabulary: tokens that both models know.
    """

    def __init__(self, student: nn.Module, terms: tuple[WeightedTerm, ...], vocabulary: int | None = None) -> None:
        super().__init__()
        self.student = student
        self.weighted_terms = terms
        self.needs = needs_of(terms)
        save_shared_once(self)
        self.shares = {t.name: TeacherShare(growth) for t in terms if (growth := getattr(t.term, "growth", None))}
        """Teacher's weights that change with the loss of their term, by its name."""
        self._vocabulary = vocabulary
        self._head: Head | None = None
        names = [t.name for t in terms]
        if len(set(names)) < len(names):
            raise ConfigError(f"terms need different names: {', '.join(names)}")

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return no soft prompts: language models here have none."""
        return []

    def count(self, micro_batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Return what each term's sum is divided by: tokens or rows of all `micro_batches`, float32 scalars."""
        return {
            t.name: torch.stack([t.term.counted(batch).sum() for batch in micro_batches]).sum().float()
            for t in self.weighted_terms
        }

    def forward(self, batch: Batch, counts: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return this micro-batch's share of the step's loss, and of what is logged (detached, unweighted).

        Args:
            batch: one micro-batch with the teacher's signal.
            counts: of the whole optimiser step, from `count`; a term with count 0 gives 0.
        """
        if self._head is None:
            self._head = head_of(self.student)
        supervised_BT = supervised_positions(batch)
        labels_S = batch["labels_BT"][supervised_BT]
        with capture(self.student, self.needs.student_taps, batch["student"].get("attention_mask")) as states:
            student = token_logits(self.student, batch["student"], supervised_BT, self._head, self._vocabulary)
        assert not isinstance(student, SparseLogits)
        weights = [self._shares(t, batch, counts) for t in self.weighted_terms]
        shares = [weights_BT[supervised_BT] for weights_BT in weights]
        total, values = self._logit_terms(student, batch, labels_S, shares)
        if any(isinstance(t.term, LogProbTerm) for t in self.weighted_terms):
            log_probs_S = label_log_probs(student, labels_S)
        means = {place: (values_S * shares[place]).sum() for place, values_S in values.items()}
        for place, weighted in enumerate(self.weighted_terms):
            term = weighted.term
            if isinstance(term, LogProbTerm):
                # Where this term does not count, its values may be not finite: filled after, for the sum, and
                # before, for the gradient (0 times infinity).
                uncounted_S = shares[place] == 0
                values_S = term.token_values(log_probs_S.masked_fill(uncounted_S, 0.0), batch)
                mean = (values_S.masked_fill(uncounted_S, 0.0) * shares[place]).sum()
            elif isinstance(term, TokenHints):
                mean = (term.token_values(states, batch["signal"]["states"]) * weights[place]).sum()
            else:
                continue
            total, means[place] = total + weighted.weight * mean, mean.detach()
        return total, {f"term/{t.name}": means[place] for place, t in enumerate(self.weighted_terms)}

    def _shares(self, weighted: WeightedTerm, batch: Batch, counts: Mapping[str, Tensor]) -> Tensor:
        """Return how much each token adds to the step's mean of a term, ``[B, T]``."""
        weights_BT = cast(_TokenMean | TokenHints, weighted.term).token_weights(batch)
        return weights_BT / counts[weighted.name].to(weights_BT).clamp(min=1)

    def _logit_terms(
        self, student: DenseLogits | LazyLogits, batch: Batch, labels_S: Tensor, shares: Sequence[Tensor]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the weighted sum of all terms on logits, and the values of each by its place, in one pass."""
        terms = {i: t.term for i, t in enumerate(self.weighted_terms) if isinstance(t.term, TokenTerm)}
        if not terms:
            return labels_S.new_zeros((), dtype=torch.float32), {}
        total, values = chunked_loss(
            student,
            batch["signal"]["tokens"] if self.needs.logits else None,
            [self._loss(self.weighted_terms[i].name, term) for i, term in terms.items()],
            [self.weighted_terms[i].weight * shares[i] for i in terms],
            labels_S,
        )
        return total, dict(zip(terms, values, strict=True))

    def _loss(self, name: str, term: TokenTerm) -> TokenDivergence | LabelLoss:
        """Return a term's loss as it is in this step."""
        share = self.shares.get(name)
        if share is None:
            return term.loss
        assert isinstance(term.loss, TokenDivergence)
        return replace(term.loss, beta=share.value)
