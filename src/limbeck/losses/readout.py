"""Readouts: how each kind of student is run, its terms computed and its metrics taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from limbeck.losses.labels import labels
from limbeck.losses.reduction import count, share_of_mean, token_weights
from limbeck.losses.targets import known
from limbeck.losses.term import Output, WeightedTerm, needs_of, predictions
from limbeck.models.classifier_head import reading_features
from limbeck.models.language_model import Head, head_of, token_logits
from limbeck.models.probes import run_probed
from limbeck.models.taps import capture
from limbeck.numerics.chunked import chunked_loss, label_log_probs
from limbeck.numerics.logits import FullLogits
from limbeck.numerics.masking import predicted_positions
from limbeck.types import UNLABELLED, Batch, Needs, Signal

__all__ = [
    "CandidateReadout",
    "ClassReadout",
    "LabelReadout",
    "MaskedReadout",
    "Readout",
    "TagReadout",
    "TokenReadout",
    "ValueReadout",
]

Parts = dict[str, Tensor]
"""What is logged, by name: parts of means, detached."""
Counts = Mapping[str, Tensor]


class Readout(Protocol):
    """How one kind of student is trained."""

    @property
    def output(self) -> Output:
        """The student's output."""

    def run(self, student: nn.Module, batch: Batch, needs: Needs) -> Signal:
        """Run the student once on a micro-batch."""

    def count(self, micro_batches: Sequence[Batch]) -> Parts:
        """Return the divisors of `metrics`, over all micro-batches of a step."""

    def loss(
        self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts
    ) -> tuple[Tensor, Parts]:
        """Return a micro-batch's share of the weighted sum of all terms, and of each term."""

    def metrics(self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts) -> Parts:
        """Return what is logged along with the terms because it costs nothing, such as accuracy."""


class _RowReadout:
    """A readout that runs the whole model; each term gives a value for each row or token."""

    def run(self, student: nn.Module, batch: Batch, needs: Needs) -> Signal:
        """Return logits, states at taps, probes, features, and how likely the student finds its teacher's rationales.

        All its forward passes are here, and so inside that of the objective: wrappers for many devices see one.
        """
        taps, probes = needs.student_taps, needs.student_probes
        run = partial(run_probed, student, batch["student"], taps, probes, batch, trained=True)
        if needs.features:
            with reading_features(student) as read:
                signal = run()
            signal["features_BD"] = read(signal["logits"])
        else:
            signal = run()
        if needs.rationales:
            signal["rationale_log_probs_B"] = cast(Any, student).rationale_log_probs(batch["rationales"])
        return signal

    def loss(
        self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts
    ) -> tuple[Tensor, Parts]:
        """Return the weighted sum of the terms' means."""
        teacher = batch.get("signal", {})
        total, parts = student["logits"].new_zeros((), dtype=torch.float32), Parts()
        for t in terms:
            values = t.term.values(student, teacher, batch)
            part = share_of_mean(values, t.term.mask(batch), t.term.reduction, counts[t.name])
            parts[f"term/{t.name}"] = part.detach()
            total = total + t.weight * part
        return total, parts


class ClassReadout(_RowReadout):
    """A class for each row: ``logits [B, C]``."""

    output: Output = "classes"

    def count(self, micro_batches: Sequence[Batch]) -> Parts:
        """Count the predictions of a step, and those with a gold label."""
        return {
            "rows": count(predictions(batch) for batch in micro_batches),
            "labelled": count(labels(batch) != UNLABELLED for batch in micro_batches),
        }

    @torch.no_grad()
    def metrics(self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts) -> Parts:
        """Return the metrics of terms, and the shares of predictions that match the teacher and the gold label."""
        teacher, needs, everything = batch.get("signal", {}), needs_of(tuple(terms)), predictions(batch)
        chosen = student["logits"].argmax(dim=-1)
        found = Parts()
        for t in terms:
            for name, values in t.term.metrics(student, teacher).items():
                found[f"train/{name}"] = share_of_mean(values, everything, "token", counts["rows"])
        if needs.logits:
            agreed = (chosen == teacher["logits"].argmax(dim=-1)) & everything
            found["train/agreement"] = agreed.sum() / counts["rows"].to(chosen.device).clamp(min=1)
        if needs.labels:
            right = (chosen == labels(batch)).sum()
            found["train/accuracy"] = right / counts["labelled"].to(chosen.device).clamp(min=1)
        return found


class CandidateReadout(ClassReadout):
    """A score for each of a row's candidates: ``logits [B, K]``."""

    output: Output = "candidates"


class TagReadout(ClassReadout):
    """A tag for each word of a row: ``logits [B, T, C]``."""

    output: Output = "tags"


class ValueReadout(_RowReadout):
    """Real values of each row: ``logits [B, C]``."""

    output: Output = "values"
    _beside_teacher, _beside_gold = "train/distance_to_teacher", "train/absolute_error"

    def count(self, micro_batches: Sequence[Batch]) -> Parts:
        """Count the values of a step, and the gold ones."""
        return {
            "rows": count(torch.ones_like(known(batch)) for batch in micro_batches),
            "labelled": count(known(batch) for batch in micro_batches),
        }

    @torch.no_grad()
    def metrics(self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts) -> Parts:
        """Return how the student's values compare with the teacher's and the gold ones, value by value."""
        needs, known_BC, found = needs_of(tuple(terms)), known(batch), Parts()
        if needs.logits:
            compared_BC = self._compare(student["logits"], batch["signal"]["logits"])
            everything_BC = torch.ones_like(known_BC)
            found[self._beside_teacher] = share_of_mean(compared_BC, everything_BC, "token", counts["rows"])
        if needs.labels:
            compared_BC = self._compare(student["logits"], self._gold(batch))
            found[self._beside_gold] = share_of_mean(compared_BC, known_BC, "token", counts["labelled"])
        return found

    def _gold(self, batch: Batch) -> Tensor:
        return batch["targets_BC"]

    def _compare(self, own_BC: Tensor, other_BC: Tensor) -> Tensor:
        return (own_BC - other_BC).abs()


class LabelReadout(ValueReadout):
    """Several labels per row: ``logits [B, C]``, above 0 where a label applies."""

    output: Output = "labels"
    _beside_teacher, _beside_gold = "train/agreement", "train/accuracy"

    def _gold(self, batch: Batch) -> Tensor:
        return batch["targets_BC"] - 0.5

    def _compare(self, own_BC: Tensor, other_BC: Tensor) -> Tensor:
        return ((own_BC > 0) == (other_BC > 0)).float()


class TokenReadout:
    """The next token at each position of a text: logits as their factors, never all of them at once.

    All terms on logits are computed in one pass over the supervised positions (`limbeck.numerics.chunked`), so neither
    model's logits ever exist for all positions at once. The weight of each token must therefore be known beforehand.

    Args:
        vocabulary: number of tokens that both models know; ``None``: all rows of the student's head.
    """

    output: Output = "tokens"

    def __init__(self, vocabulary: int | None = None) -> None:
        self._vocabulary = vocabulary
        self._heads: dict[nn.Module, Head] = {}

    def run(self, student: nn.Module, batch: Batch, needs: Needs) -> Signal:
        """Return distributions over tokens at the positions that terms compare, and states at taps."""
        if student not in self._heads:
            self._heads[student] = head_of(student)
        inputs = batch["student"]
        with capture(student, needs.student_taps, inputs.get("attention_mask")) as states:
            places_BT = predicted_positions(batch, needs)
            tokens = token_logits(student, inputs, places_BT, self._heads[student], self._vocabulary)
        return {"tokens": tokens, "states": states}

    def count(self, micro_batches: Sequence[Batch]) -> Parts:
        """Return nothing: there are no metrics."""
        return {}

    def loss(
        self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts
    ) -> tuple[Tensor, Parts]:
        """Return the sum of terms: those on logits in one pass, then the others."""
        needs = needs_of(tuple(terms))
        places_BT = predicted_positions(batch, needs)
        # A position that is compared but has no label has no weight in a loss on labels; there any token will do.
        labels_S = batch["labels_BT"][places_BT].clamp(min=0)
        weights = {t.name: _weights(t, batch, counts) for t in terms}
        at_logits = [t for t in terms if t.term.token_loss is not None]
        on_logits = {t.name: weights[t.name][places_BT] for t in at_logits}
        total, values = self._on_logits(at_logits, student, batch, labels_S, on_logits)
        means = {name: (values_S * on_logits[name]).sum() for name, values_S in values.items()}
        if needs.log_probs:
            student = {**student, "log_probs_S": label_log_probs(cast(FullLogits, student["tokens"]), labels_S)}
        for t in terms:
            if t.name in on_logits:
                continue
            found, each = t.term.values(student, batch.get("signal", {}), batch), weights[t.name]
            each = each[places_BT] if found.shape != each.shape else each
            mean = (found.masked_fill(each == 0, 0.0) * each).sum()
            total, means[t.name] = total + t.weight * mean, mean.detach()
        return total, {f"term/{t.name}": means[t.name] for t in terms}

    def metrics(self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, counts: Counts) -> Parts:
        """Return nothing: accuracy would need the logits of all tokens."""
        return {}

    def _on_logits(
        self, terms: Sequence[WeightedTerm], student: Signal, batch: Batch, labels_S: Tensor, weights: Parts
    ) -> tuple[Tensor, Parts]:
        """Return the weighted sum of all terms on logits, and the values of each by name, in one pass."""
        if not terms:
            return labels_S.new_zeros((), dtype=torch.float32), {}
        needs = needs_of(tuple(terms))
        total, values = chunked_loss(
            cast(FullLogits, student["tokens"]),
            batch["signal"]["tokens"] if needs.logits else None,
            [loss for t in terms if (loss := t.term.token_loss) is not None],
            [t.weight * weights[t.name] for t in terms],
            labels_S,
        )
        return total, {t.name: values_S for t, values_S in zip(terms, values, strict=True)}


class MaskedReadout(TokenReadout):
    """The token behind each mask of a text, in the same way."""

    output: Output = "masked_tokens"


def _weights(t: WeightedTerm, batch: Batch, counts: Counts) -> Tensor:
    """Return how much each row or token adds to the step's mean of a term."""
    weights = token_weights(t.term.mask(batch), t.term.reduction)
    return weights / counts[t.name].to(weights).clamp(min=1)
