"""From predictions to result records: one system at a time, and two against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.accuracy import (
    confusion_of_worst_classes,
    macro_f1,
    macro_sensitivity,
    macro_specificity,
    per_class_figures,
)
from limbeck.evaluation.calibration import expected_calibration_error, reliability_bins
from limbeck.evaluation.fidelity import agreed, kl_to_teacher
from limbeck.evaluation.predict import softmax
from limbeck.evaluation.significance import (
    Statistic,
    bootstrap_interval,
    bootstrap_p_value,
    mcnemar,
    paired_t_test,
    resample,
)
from limbeck.results import Comparison, Disagreement, Interval, SeedFigures, Speed, System, SystemName
from limbeck.types import Rows

__all__ = [
    "HeldOut",
    "Predictions",
    "always_the_most_frequent",
    "compare",
    "describe",
    "describe_constant",
    "disagreements",
]

_SHOWN_DISAGREEMENTS = 40
_OVER_CLASSES = {"macro_f1": macro_f1, "sensitivity": macro_sensitivity, "specificity": macro_specificity}
_NEED_LABELS = {"accuracy", *_OVER_CLASSES}


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows with their gold label ids (negative: none)."""

    rows: Rows
    gold: NDArray[np.int64]
    labels: list[str]

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Numbers of the rows that have a label."""
        return np.flatnonzero(self.gold >= 0)


@dataclass(frozen=True)
class Predictions:
    """One system's class logits ``[N, C]`` on the held-out rows, by training seed."""

    name: SystemName
    title: str
    detail: str
    layers: int | None
    logits: dict[int, NDArray[np.float32]]


def describe(system: Predictions, teacher: Predictions | None, held_out: HeldOut, speed: Speed | None) -> System:
    """Return all figures of one system.

    Args:
        system: its predictions.
        teacher: the teacher's, to measure fidelity against; ``None`` for the teacher itself.
        held_out: gold labels; accuracy is measured on the rows that have one.
        speed: size and speed, measured elsewhere; ``None`` of what is no model.
    """
    labelled, seeds = held_out.labelled, list(system.logits)
    gold = held_out.gold[labelled]
    per_class, reliability, confusion, loss = [], [], None, None
    if len(labelled):
        pooled_logits = np.concatenate([system.logits[seed][labelled] for seed in seeds])
        pooled_gold = np.tile(gold, len(seeds))
        probs = softmax(pooled_logits)
        predicted = probs.argmax(axis=-1)
        per_class = per_class_figures(pooled_gold, predicted, held_out.labels)
        reliability = reliability_bins(probs, pooled_gold)
        confusion = confusion_of_worst_classes(pooled_gold, predicted, held_out.labels)
        gold_probs = probs[np.arange(len(probs)), pooled_gold]
        loss = float(-np.log(np.maximum(gold_probs, np.finfo(np.float64).tiny)).mean())
    return System(
        name=system.name,
        title=system.title,
        detail=system.detail,
        layers=system.layers,
        accuracy=_interval("accuracy", system, teacher, held_out),
        macro_f1=_interval("macro_f1", system, teacher, held_out),
        sensitivity=_interval("sensitivity", system, teacher, held_out),
        specificity=_interval("specificity", system, teacher, held_out),
        loss_nats=loss,
        expected_calibration_error=expected_calibration_error(reliability) if reliability else None,
        agreement=_interval("agreement", system, teacher, held_out),
        kl_to_teacher_nats=_interval("kl_to_teacher_nats", system, teacher, held_out),
        per_class=per_class,
        reliability=reliability,
        confusion=confusion,
        seeds=[_seed_figures(seed, system, teacher, held_out) for seed in seeds],
        speed=speed,
    )


def always_the_most_frequent(held_out: HeldOut) -> Predictions | None:
    """Return what no model is needed for: all rows get the most frequent of their gold labels; ``None`` without any.

    It is the best that one label for all rows can be, for it is chosen on the held-out rows themselves.
    """
    if not len(held_out.labelled):
        return None
    counts = np.bincount(held_out.gold[held_out.labelled], minlength=len(held_out.labels))
    label = int(counts.argmax())
    logits = np.zeros((len(held_out.rows), len(held_out.labels)), dtype=np.float32)
    logits[:, label] = 1.0
    detail = f"'{held_out.labels[label]}', which {counts[label]:,} of {counts.sum():,} held-out rows are"
    return Predictions("most_frequent", "Always the most frequent label", detail, None, {0: logits})


def describe_constant(system: Predictions, teacher: Predictions | None, held_out: HeldOut) -> System:
    """Return the figures of one label for all rows: those that hang on labels alone, for it has no probabilities."""
    accuracy, macro, sensitivity, specificity, agreement = (
        _interval(metric, system, teacher, held_out)
        for metric in ("accuracy", "macro_f1", "sensitivity", "specificity", "agreement")
    )
    return System(
        name=system.name,
        title=system.title,
        detail=system.detail,
        layers=None,
        accuracy=accuracy,
        macro_f1=macro,
        sensitivity=sensitivity,
        specificity=specificity,
        loss_nats=None,
        expected_calibration_error=None,
        agreement=agreement,
        kl_to_teacher_nats=None,
        per_class=[],
        reliability=[],
        confusion=None,
        seeds=[],
        speed=None,
    )


def compare(
    first: Predictions, second: Predictions, teacher: Predictions | None, held_out: HeldOut, metric: str
) -> Comparison:
    """Return the paired difference ``first - second`` of `metric`, rows and seeds matched.

    `teacher` is needed for agreement only.
    """
    figures_first = _figures(metric, first, teacher, held_out)
    figures_second = _figures(metric, second, teacher, held_out)
    assert figures_first is not None
    assert figures_second is not None
    # The teacher has one seed and is compared with every student.
    seeds = sorted(figures_first if len(figures_first) > 1 else figures_second)

    def of(figures: dict[int, Statistic], seed: int) -> Statistic:
        return figures[seed] if len(figures) > 1 else next(iter(figures.values()))

    def difference(indices: NDArray[np.int64]) -> NDArray[np.float64]:
        differences = [of(figures_first, s)(indices) - of(figures_second, s)(indices) for s in seeds]
        mean: NDArray[np.float64] = np.mean(differences, axis=0)
        return mean

    rows = len(held_out.rows) if metric == "agreement" else len(held_out.labelled)
    everything = np.arange(rows)
    per_seed = [float(of(figures_first, s)(everything) - of(figures_second, s)(everything)) for s in seeds]
    draws = resample(difference, rows)
    low, high = np.quantile(draws, [0.025, 0.975])
    gold, labelled = held_out.gold[held_out.labelled], held_out.labelled

    def right(system: Predictions, seed: int) -> NDArray[np.bool_]:
        logits = system.logits[seed] if len(system.logits) > 1 else next(iter(system.logits.values()))
        hits: NDArray[np.bool_] = logits[labelled].argmax(axis=-1) == gold
        return hits

    return Comparison(
        first=first.name,
        second=second.name,
        metric=metric,  # type: ignore[arg-type]
        difference=Interval(value=float(difference(everything)), low=float(low), high=float(high)),
        bootstrap_p_value=bootstrap_p_value(draws),
        mcnemar=[mcnemar(right(first, s), right(second, s), s) for s in seeds] if metric == "accuracy" else [],
        per_seed_difference=per_seed,
        t_test_p_value=paired_t_test(per_seed),
    )


def disagreements(student: Predictions, teacher: Predictions, held_out: HeldOut) -> list[Disagreement]:
    """Return rows on which the first seed's student and the teacher differ, the surest students first."""
    teacher_probs = softmax(next(iter(teacher.logits.values())))
    student_probs = softmax(next(iter(student.logits.values())))
    differ = np.flatnonzero(teacher_probs.argmax(axis=-1) != student_probs.argmax(axis=-1))
    surest = differ[np.argsort(-student_probs[differ].max(axis=-1), kind="stable")][:_SHOWN_DISAGREEMENTS]
    rows, labels = held_out.rows, held_out.labels
    return [
        Disagreement(
            text=rows.text[i],
            text_pair=rows.text_pair[i] if rows.text_pair is not None else None,
            gold=rows.label[i],
            teacher_label=labels[teacher_probs[i].argmax()],
            teacher_confidence=float(teacher_probs[i].max()),
            student_label=labels[student_probs[i].argmax()],
            student_confidence=float(student_probs[i].max()),
        )
        for i in surest
    ]


def _figures(
    metric: str, system: Predictions, teacher: Predictions | None, held_out: HeldOut
) -> dict[int, Statistic] | None:
    """The metric as a function of row indices, by seed; ``None`` where it does not apply."""
    labelled = held_out.labelled
    gold = held_out.gold[labelled]
    if metric in _NEED_LABELS:
        if not len(labelled):
            return None
        predicted = {seed: logits[labelled].argmax(axis=-1) for seed, logits in system.logits.items()}
        if metric == "accuracy":
            return {seed: _mean_of((p == gold).astype(np.float64)) for seed, p in predicted.items()}
        return {seed: _over_classes(metric, gold, p, len(held_out.labels)) for seed, p in predicted.items()}
    if teacher is None or system.name == "teacher":
        return None
    reference = next(iter(teacher.logits.values()))
    measure = agreed if metric == "agreement" else kl_to_teacher
    return {seed: _mean_of(measure(reference, logits).astype(np.float64)) for seed, logits in system.logits.items()}


def _mean_of(values: NDArray[np.float64]) -> Statistic:
    return lambda indices: values[indices].mean(axis=-1)


def _over_classes(metric: str, gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Statistic:
    figure = _OVER_CLASSES[metric]
    return lambda indices: figure(gold[indices], predicted[indices], classes)


def _interval(metric: str, system: Predictions, teacher: Predictions | None, held_out: HeldOut) -> Interval | None:
    figures = _figures(metric, system, teacher, held_out)
    if figures is None:
        return None
    rows = len(held_out.labelled) if metric in _NEED_LABELS else len(held_out.rows)
    return bootstrap_interval(lambda indices: np.mean([f(indices) for f in figures.values()], axis=0), rows)


def _seed_figures(seed: int, system: Predictions, teacher: Predictions | None, held_out: HeldOut) -> SeedFigures:
    def value(metric: str) -> float | None:
        figures = _figures(metric, system, teacher, held_out)
        if figures is None:
            return None
        rows = len(held_out.labelled) if metric in _NEED_LABELS else len(held_out.rows)
        return float(figures[seed](np.arange(rows)))

    return SeedFigures(
        seed=seed,
        accuracy=value("accuracy"),
        macro_f1=value("macro_f1"),
        sensitivity=value("sensitivity"),
        specificity=value("specificity"),
        agreement=value("agreement"),
        kl_to_teacher_nats=value("kl_to_teacher_nats"),
    )
