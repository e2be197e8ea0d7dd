"""Figures, comparisons and sections of a classification run, from the class logits of all systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.accuracy import class_figures, confusion_of_worst_classes
from limbeck.evaluation.calibration import reliability_bins
from limbeck.evaluation.measured import Measured, compared_pairs, comparisons, figures, retention
from limbeck.evaluation.metrics.classification import CLASSIFICATION, OF_CLASSES, ClassifierOutputs
from limbeck.evaluation.metrics.measure import measure
from limbeck.evaluation.predict import softmax
from limbeck.results.figures import Figure
from limbeck.results.record import System
from limbeck.results.sections import Classes, Confusion, Disagreement, Disagreements, Reliability, Section
from limbeck.types import Rows

__all__ = ["Classified", "HeldOut", "measure_classification"]

_SHOWN_DISAGREEMENTS = 40


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows with their gold label ids (negative: none)."""

    rows: Rows
    gold: NDArray[np.int64]
    labels: list[str]


@dataclass(frozen=True)
class Classified:
    """One system with its class logits ``[N, C]`` on the held-out rows, by training seed."""

    system: System
    logits: Mapping[int, NDArray[np.float32]]
    temperatures: Mapping[int, float] = field(default_factory=dict)
    """By training seed; empty if none was fitted."""

    @property
    def first_probs(self) -> NDArray[np.float64]:
        """Probabilities of the first seed."""
        seed, logits = next(iter(self.logits.items()))
        return softmax(logits, self.temperatures.get(seed, 1.0))


def measure_classification(systems: Sequence[Classified], held_out: HeldOut) -> Measured:
    """Return all figures, with 95 % bootstrap intervals over rows.

    Args:
        systems: a main system among them; with a teacher, fidelity to its first seed is measured.
        held_out: gold labels; accuracy and similar metrics are measured on labelled rows.

    Raises:
        DataError: two compared systems have several seeds each, but not the same ones.
    """
    constant = _always_the_most_frequent(held_out)
    every = [*systems, *([constant] if constant else [])]
    teacher = next((one for one in systems if one.system.role == "teacher"), None)
    outputs = {one.system.name: _outputs(one, teacher, held_out) for one in every}
    found = measure(outputs, CLASSIFICATION)
    described = [one.system for one in every]
    headline = "accuracy" if constant else "agreement"
    # Simple baselines have their overall figures; diagrams and classes of the trained systems stay readable.
    shown = [one.system.name for one in systems if constant and one.system.role != "simple"]
    models = {name: outputs[name] for name in shown}
    return Measured(
        metrics=[*(one.metric for one in CLASSIFICATION), *OF_CLASSES],
        headline=headline,
        systems=described,
        figures=figures(found) + [f for name, seeds in models.items() for f in _of_classes(name, seeds, held_out)],
        comparisons=comparisons(found, compared_pairs(described), CLASSIFICATION, headline),
        sections=[
            Classes(labels=held_out.labels),
            *_pooled_sections(models, held_out),
            retention(found, described, CLASSIFICATION),
            *([Disagreements(rows=_disagreements(_main(systems), teacher, held_out))] if teacher else []),
        ],
    )


def _main(systems: Sequence[Classified]) -> Classified:
    return next(one for one in systems if one.system.role == "main")


def _outputs(one: Classified, teacher: Classified | None, held_out: HeldOut) -> dict[int, ClassifierOutputs]:
    reference = next(iter(teacher.logits.values())) if teacher is not None and teacher is not one else None
    has_probabilities = one.system.role != "constant"
    return {
        seed: ClassifierOutputs(logits, held_out.gold, reference, has_probabilities, one.temperatures.get(seed))
        for seed, logits in one.logits.items()
    }


def _always_the_most_frequent(held_out: HeldOut) -> Classified | None:
    """Return the constant baseline: all rows get the most frequent gold label; ``None`` without labels.

    It is the best possible constant, as it is chosen on the held-out rows themselves.
    """
    labelled = held_out.gold[held_out.gold >= 0]
    if not len(labelled):
        return None
    counts = np.bincount(labelled, minlength=len(held_out.labels))
    label = int(counts.argmax())
    logits = np.zeros((len(held_out.gold), len(held_out.labels)), dtype=np.float32)
    logits[:, label] = 1.0
    detail = f"'{held_out.labels[label]}', the label of {counts[label]:,} of {counts.sum():,} held-out rows"
    system = System(name="constant", title="Always the most frequent label", role="constant", detail=detail)
    return Classified(system, {0: logits})


def _pooled(by_seed: Mapping[int, ClassifierOutputs]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities and gold labels of the labelled rows of all seeds."""
    probs = np.concatenate([outputs.probs for outputs in by_seed.values()])
    return probs, np.concatenate([outputs.gold for outputs in by_seed.values()])


def _of_classes(name: str, by_seed: Mapping[int, ClassifierOutputs], held_out: HeldOut) -> list[Figure]:
    """Return precision, sensitivity, specificity and F1 of every class, over the rows of all seeds together."""
    probs, gold = _pooled(by_seed)
    found = class_figures(gold, probs.argmax(axis=-1), len(held_out.labels))
    rows = np.bincount(gold, minlength=len(held_out.labels)) // len(by_seed)
    return [
        Figure(system=name, metric=metric, slice={"class": label}, value=float(values[c]), rows=int(rows[c]))
        for c, label in enumerate(held_out.labels)
        for metric, values in found.items()
        if not np.isnan(values[c])
    ]


def _pooled_sections(models: Mapping[str, Mapping[int, ClassifierOutputs]], held_out: HeldOut) -> list[Section]:
    pooled = {name: _pooled(by_seed) for name, by_seed in models.items()}
    return [
        Reliability(systems={name: reliability_bins(*both) for name, both in pooled.items()}),
        Confusion(
            systems={
                name: confusion_of_worst_classes(gold, probs.argmax(axis=-1), held_out.labels)
                for name, (probs, gold) in pooled.items()
            }
        ),
    ]


def _disagreements(student: Classified, teacher: Classified, held_out: HeldOut) -> list[Disagreement]:
    """Return rows on which the first seed's student and the teacher differ, most confident first."""
    teacher_probs, student_probs = teacher.first_probs, student.first_probs
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
