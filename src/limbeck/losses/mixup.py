"""Terms on rows whose word embeddings are mixed with those of another row."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.term import Output, Term, predictions
from limbeck.types import Batch, Mixup, Needs, Signal

__all__ = ["MixedLabels", "MixedTargets"]


@dataclass(frozen=True)
class _OnMixtures(Term):
    """A term of rows, taken of mixtures: ``s e_i + (1 - s) e_j``, s from Beta(concentration, concentration)."""

    # The tokens of two texts have no positions in common, and records of candidates several texts.
    suits = frozenset[Output](("classes", "tags", "labels", "values"))
    term: Term
    """What is compared: `values` and, for labels, `mask`."""
    concentration: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.concentration < float("inf"):
            raise ConfigError(f"the concentration of a mixture must be a number above 0, not {self.concentration}")

    @property
    def probe(self) -> Mixup:
        """The logits that it reads."""
        return Mixup(self.concentration)

    def of(self, output: Output) -> Term:
        return replace(self, term=self.term.of(output))

    @property
    def rows_together(self) -> int:
        return 2


@dataclass(frozen=True)
class MixedTargets(_OnMixtures):
    """A term on the logits of both models, each of which mixes its own embeddings, with the same share and partner.

    Every row counts; in tagging, the words of row i.

    Reference: Liang et al. 2021, "MixKD", arXiv:2011.00593 (TMKD).
    """

    @property
    def needs(self) -> Needs:
        mixed = frozenset({self.probe})
        return Needs(student_probes=mixed, teacher_probes=mixed, same_tokens=True)

    def mask(self, batch: Batch) -> Tensor:
        return predictions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        own, other = (Signal(logits=signal["probes"][self.probe]) for signal in (student, teacher))
        return self.term.values(own, other, batch)


@dataclass(frozen=True)
class MixedLabels(_OnMixtures):
    """Gold labels of mixtures, ``s y_i + (1 - s) y_j``: rows or, in tagging, positions where both are known.

    The cross-entropy is linear in the label, so it is that of both labels, weighted; no label is rounded to one class.

    Reference: Liang et al. 2021, "MixKD", arXiv:2011.00593 (SM).
    """

    @property
    def needs(self) -> Needs:
        return Needs(student_probes=frozenset({self.probe}), labels=True)

    def mask(self, batch: Batch) -> Tensor:
        if "targets_BC" in batch:
            return self.term.mask(_with_mixed_targets(batch))
        return self.term.mask(batch) & self.term.mask(_of_partners(batch))

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        mixed = Signal(logits=student["probes"][self.probe])
        if "targets_BC" in batch:
            return self.term.values(mixed, teacher, _with_mixed_targets(batch))
        own, of_partner = (self.term.values(mixed, teacher, one) for one in (batch, _of_partners(batch)))
        share = batch["mixing"]["share_B"].to(own)
        share = share if own.dim() == 1 else share[:, None]
        return share * own + (1 - share) * of_partner


def _with_mixed_targets(batch: Batch) -> Batch:
    """Return the batch with mixed values or labels, unknown where one of a pair is."""
    own_BC = batch["targets_BC"]
    share_B1 = batch["mixing"]["share_B"].to(own_BC)[:, None]
    of_partner_BC = own_BC[batch["mixing"]["partner_B"]]
    return {**batch, "targets_BC": share_B1 * own_BC + (1 - share_B1) * of_partner_BC}


def _of_partners(batch: Batch) -> Batch:
    """Return the batch with the labels of each row's partner."""
    partner_B, changed = batch["mixing"]["partner_B"], Batch(**batch)
    if "labels_BT" in batch:
        changed["labels_BT"] = batch["labels_BT"][partner_B]
    else:
        changed["labels_B"] = batch["labels_B"][partner_B]
    return changed
