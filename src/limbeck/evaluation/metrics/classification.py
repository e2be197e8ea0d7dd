"""Metrics of classifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.calibration import bin_columns, calibration_error
from limbeck.evaluation.fidelity import agreed, kl_to_teacher
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic, mean_of
from limbeck.evaluation.one_vs_rest import OneVsRest, class_columns, from_sums, mean_over_classes
from limbeck.evaluation.predict import softmax
from limbeck.results.figures import Metric

__all__ = ["CLASSIFICATION", "OF_CLASSES", "ClassifierOutputs"]


@dataclass(frozen=True)
class ClassifierOutputs:
    """Outputs of one system and seed on the held-out rows."""

    logits_NC: NDArray[np.float32]
    gold_N: NDArray[np.int64]
    """Label ids; negative: none."""
    teacher_NC: NDArray[np.float32] | None
    """The teacher's class logits; ``None`` for the teacher itself, or without one."""
    has_probabilities: bool = True
    """Whether the logits carry more than the most likely class."""
    temperature: float | None = None
    """What the logits are divided by for probabilities; ``None``: none was fitted. KL to the teacher is without it."""

    @cached_property
    def labelled(self) -> NDArray[np.int64]:
        """Indices of the labelled rows."""
        return np.flatnonzero(self.gold_N >= 0)

    @cached_property
    def gold(self) -> NDArray[np.int64]:
        return self.gold_N[self.labelled]

    @cached_property
    def probs(self) -> NDArray[np.float64]:
        """Probabilities of the labelled rows, ``[n, C]``."""
        return softmax(self.logits_NC[self.labelled], self.temperature or 1.0)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self.logits_NC[self.labelled].argmax(axis=-1) == self.gold
        return right

    @cached_property
    def class_columns(self) -> object:
        """Each labelled row's contribution to the counts of each class."""
        return class_columns(self.gold, self.logits_NC[self.labelled].argmax(axis=-1), self.logits_NC.shape[-1])


def _accuracy(outputs: ClassifierOutputs) -> Statistic | None:
    return mean_of(outputs.right, right_N=outputs.right) if len(outputs.labelled) else None


def _over_classes(
    figure: Callable[[OneVsRest], NDArray[np.float64]],
) -> Callable[[ClassifierOutputs], Statistic | None]:
    """Return a metric of one-vs-rest counts of all classes."""

    def statistic(outputs: ClassifierOutputs) -> Statistic | None:
        if not len(outputs.labelled):
            return None
        return Statistic(len(outputs.labelled), lambda sums: figure(from_sums(sums)), outputs.class_columns)

    return statistic


def _loss(outputs: ClassifierOutputs) -> Statistic | None:
    if not len(outputs.labelled) or not outputs.has_probabilities:
        return None
    gold_probs = outputs.probs[np.arange(len(outputs.gold)), outputs.gold]
    return mean_of(-np.log(np.maximum(gold_probs, np.finfo(np.float64).tiny)))


def _calibration(outputs: ClassifierOutputs) -> Statistic | None:
    if not len(outputs.labelled) or not outputs.has_probabilities:
        return None
    return Statistic(len(outputs.labelled), calibration_error, bin_columns(outputs.probs, outputs.gold))


def _calibration_before(outputs: ClassifierOutputs) -> Statistic | None:
    return None if outputs.temperature is None else _calibration(replace(outputs, temperature=None))


def _agreement(outputs: ClassifierOutputs) -> Statistic | None:
    return None if outputs.teacher_NC is None else mean_of(agreed(outputs.teacher_NC, outputs.logits_NC))


def _kl(outputs: ClassifierOutputs) -> Statistic | None:
    if outputs.teacher_NC is None or not outputs.has_probabilities:
        return None
    return mean_of(kl_to_teacher(outputs.teacher_NC, outputs.logits_NC))


CLASSIFICATION: list[Measure[ClassifierOutputs]] = [
    Measure(
        Metric(
            key="accuracy",
            title="Accuracy",
            detail="rows right",
            unit="share",
            higher_is_better=True,
            meaning="The share of held-out rows whose label the system gets right.",
        ),
        _accuracy,
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="macro_f1",
            title="Macro F1",
            detail="over classes",
            unit="share",
            higher_is_better=True,
            meaning="The balance of precision and recall, averaged over classes, so that a rare class counts as much "
            "as a common one.",
        ),
        _over_classes(lambda counts: mean_over_classes(counts.f1)),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="agreement",
            title="Agreement",
            detail="with teacher",
            unit="share",
            higher_is_better=True,
            meaning="The share of held-out rows on which the system gives the teacher's label, right or wrong.",
        ),
        _agreement,
        compared=True,
    ),
    Measure(
        Metric(
            key="kl",
            title="KL",
            detail="to teacher",
            unit="nats",
            higher_is_better=False,
            meaning="How far the system's probabilities lie from the teacher's, in nats (natural logarithm); 0 means "
            "they are the same.",
        ),
        _kl,
    ),
    Measure(
        Metric(
            key="ece",
            title="ECE",
            detail="calibration",
            unit="share",
            higher_is_better=False,
            meaning="Expected calibration error: by how much, on average, the stated confidence misses the share of "
            "rows that are right.",
        ),
        _calibration,
        pooled=True,
    ),
    Measure(
        Metric(
            key="ece_before",
            title="ECE before",
            detail="without the temperature",
            unit="share",
            higher_is_better=False,
            table="calibration",
            meaning="The calibration error of the model's own probabilities, before its logits are divided by the "
            "temperature that was fitted on development rows.",
        ),
        _calibration_before,
        pooled=True,
    ),
    Measure(
        Metric(
            key="loss",
            title="Loss",
            detail="on gold labels",
            unit="nats",
            higher_is_better=False,
            table="loss",
            meaning="Cross-entropy on the gold labels, in nats per row: low where the system gives the right label a "
            "high probability.",
        ),
        _loss,
    ),
    Measure(
        Metric(
            key="matthews_correlation",
            title="Matthews correlation",
            detail="-1 to 1",
            unit="number",
            higher_is_better=True,
            table="one_vs_rest",
            meaning="How closely the labels given follow the gold labels, over all classes: 1 if all are right, 0 if "
            "they are no better than random. Always giving the most frequent label scores 0.",
        ),
        _over_classes(lambda counts: counts.matthews_correlation),
    ),
    Measure(
        Metric(
            key="sensitivity",
            title="Sensitivity",
            detail="macro mean",
            unit="share",
            higher_is_better=True,
            table="one_vs_rest",
            meaning="The share of the rows of a class that the system finds (recall); its mean over classes is the "
            "balanced accuracy.",
        ),
        _over_classes(lambda counts: mean_over_classes(counts.sensitivity)),
    ),
    Measure(
        Metric(
            key="specificity",
            title="Specificity",
            detail="macro mean",
            unit="share",
            higher_is_better=True,
            table="one_vs_rest",
            meaning="The share of the rows of all other classes that the system does not assign to this class. With "
            "many classes it is high for any system.",
        ),
        _over_classes(lambda counts: mean_over_classes(counts.specificity)),
    ),
]
"""Metrics in the order of the headline table."""

OF_CLASSES = [
    Metric(key="precision", title="Precision", unit="share", higher_is_better=True, table="classes"),
    Metric(key="f1", title="F1", unit="share", higher_is_better=True, table="classes"),
]
"""Metrics for single classes only, slices ``{"class": label}``; sensitivity and specificity have these slices too."""
