"""Terms on a language model's distribution at each supervised token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.losses.reduction import Reduction
from limbeck.losses.term import Output, Term
from limbeck.numerics.masking import supervised_positions
from limbeck.numerics.token_losses import LabelLoss, TokenLoss
from limbeck.types import Batch, CompletionSource, Needs, Signal

__all__ = ["LogProbTerm", "TokenMean", "TokenTerm"]


@dataclass(frozen=True, kw_only=True)
class TokenMean(Term):
    """A mean over the supervised tokens of a step, or of some of its rows."""

    suits = frozenset[Output](("tokens",))
    reduction: Reduction = "token"
    sources: tuple[CompletionSource, ...] | None = None
    """Only rows whose completion comes from one of these; ``None``: all rows."""

    @property
    def by_row(self) -> bool:
        return self.reduction != "token" or self.sources is not None

    def mask(self, batch: Batch) -> Tensor:
        tokens_BT = supervised_positions(batch)
        if self.sources is not None:
            allowed = torch.tensor([int(source) for source in self.sources], device=tokens_BT.device)
            tokens_BT = tokens_BT & torch.isin(batch["source_B"], allowed)[:, None]
        return tokens_BT


@dataclass(frozen=True)
class TokenTerm(TokenMean):
    """A loss on the student's logits at each supervised token."""

    loss: TokenLoss

    @property
    def needs(self) -> Needs:
        """Labels or the teacher's distributions."""
        return Needs(labels=True) if isinstance(self.loss, LabelLoss) else Needs(logits=True)

    @property
    def token_loss(self) -> TokenLoss:
        return self.loss


@dataclass(frozen=True)
class LogProbTerm(TokenMean):
    """A loss on the student's log-probability of each supervised token."""

    @property
    def needs(self) -> Needs:
        """Nothing from a teacher."""
        return Needs(log_probs=True)

    def log_probs(self, student: Signal, batch: Batch) -> Tensor:
        """Return the log-probabilities ``[S]``, 0 where the token does not count for this term.

        They may be infinite there; masking afterwards would give a gradient of 0 times infinity.
        """
        uncounted_S = ~self.mask(batch)[supervised_positions(batch)]
        return student["log_probs_S"].masked_fill(uncounted_S, 0.0)
