"""The result record of a run: the contract between evaluation and report (``results.json``).

Every number carries its unit in its name. Shares are between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from limbeck.results.figures import SIGNIFICANT, Interval
from limbeck.results.record import Curve, StageCost
from limbeck.results.sections import ConfusionMatrix, Disagreement, ReliabilityBin
from limbeck.results.worth import TEACHER_LEAD

__all__ = [
    "SIGNIFICANT",
    "TEACHER_LEAD",
    "AdapterFigures",
    "ClassFigures",
    "Comparison",
    "ConfusionMatrix",
    "Curve",
    "Disagreement",
    "Interval",
    "McNemar",
    "ReliabilityBin",
    "Results",
    "SeedFigures",
    "Speed",
    "StageCost",
    "StudentCalibration",
    "System",
    "TeacherLabels",
    "beats_most_frequent",
    "teacher_leads",
]

SystemName = str
"""``teacher``, ``student_before``, ``distilled``, or a system that it is compared with. ``most_frequent`` is no model:
it gives all held-out rows the most frequent of their gold labels."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassFigures(_Record):
    """How one class fares."""

    label: str
    precision: float
    recall: float
    """As well called sensitivity: TP / (TP + FN)."""
    f1: float
    rows: int
    specificity: float | None = None
    """TN / (TN + FP), the class against all others; None where no row is of another class, and in older records."""


class SeedFigures(_Record):
    """The main figures of one training seed. ``None``: the held-out rows have no labels, or no teacher applies."""

    seed: int
    accuracy: float | None
    macro_f1: float | None
    agreement: float | None
    kl_to_teacher_nats: float | None
    sensitivity: float | None = None
    """Macro means, as in `System`; None as well in older records."""
    specificity: float | None = None


class Speed(_Record):
    """Size and speed of a model, measured on the machine of the run, all models in turn."""

    parameters: int
    size_bytes: int
    """Weights on disk."""
    latency_ms_median: float
    """One row at a time."""
    latency_ms_p95: float
    throughput_rows_per_second: float
    """Rows in batches of `batch_size`."""
    batch_size: int
    peak_memory_bytes: int
    """Peak resident memory of a fresh process (or peak device memory) that labels rows with this model."""


class System(_Record):
    """One model on the held-out rows; over several seeds, figures are means over seeds.

    Intervals resample rows. Per-class figures, reliability and confusion pool the rows of all seeds.
    """

    name: SystemName
    title: str
    detail: str
    """One line for people: what this model is, e.g. "3 of 6 layers, 16.4 M parameters"."""
    layers: int | None
    """None for a teacher that is known by its labels alone."""
    accuracy: Interval | None
    macro_f1: Interval | None
    sensitivity: Interval | None = None
    """Mean over the classes that occur of TP / (TP + FN): balanced accuracy. None as well in older records."""
    specificity: Interval | None = None
    """Mean over classes of TN / (TN + FP), each class against all others. None as well in older records."""
    loss_nats: float | None
    """Mean cross-entropy on the gold labels."""
    expected_calibration_error: float | None
    agreement: Interval | None
    """Share of rows with the teacher's label; None for the teacher itself."""
    kl_to_teacher_nats: Interval | None
    per_class: list[ClassFigures]
    reliability: list[ReliabilityBin]
    confusion: ConfusionMatrix | None
    seeds: list[SeedFigures]
    speed: Speed | None
    """None for a teacher that is known by its labels alone."""


def teacher_leads(teacher: System | None, before: System | None) -> bool:
    """Say whether the teacher is clearly more accurate than the untrained student; true where that is not known."""
    if teacher is None or before is None or teacher.accuracy is None or before.accuracy is None:
        return True
    return teacher.accuracy.value - before.accuracy.value >= TEACHER_LEAD


class McNemar(_Record):
    """McNemar's test for one seed: rows that only one of the two systems has right."""

    seed: int
    only_first_right: int
    only_second_right: int
    p_value: float


class Comparison(_Record):
    """Paired difference ``first - second`` of one metric over the same held-out rows."""

    first: SystemName
    second: SystemName
    metric: Literal["accuracy", "macro_f1", "agreement"]
    difference: Interval
    """Seed-averaged difference; the interval resamples rows."""
    bootstrap_p_value: float
    mcnemar: list[McNemar]
    """Empty where the metric is not a share of rows that are right."""
    per_seed_difference: list[float]
    t_test_p_value: float | None
    """Paired t-test over seeds; None with fewer than three."""


def beats_most_frequent(comparisons: Sequence[Comparison]) -> bool:
    """Say whether the distilled student is significantly more often right than one label for all rows would be.

    True where that was not measured. A student that is not has learnt nothing of which a share could be kept.
    """
    found = (c for c in comparisons if (c.first, c.second, c.metric) == ("distilled", "most_frequent", "accuracy"))
    return all(c.difference.value > 0 and c.bootstrap_p_value < SIGNIFICANT for c in found)


class AdapterFigures(_Record):
    """What of the student was trained, where not all of it was."""

    kind: str
    trainable_parameters: int
    """Adapter and head."""
    parameters: int
    """All, while training; LoRA is merged into the others afterwards."""
    notes: list[str]
    """What else is to be said of it on this machine."""


class StudentCalibration(_Record):
    """The temperature of the exported student: its logits divided by it give honest probabilities."""

    temperature: float
    rows: int
    """Development rows it was fitted on."""
    labels: str
    """``gold`` or ``teacher``: whose labels these were."""


class TeacherLabels(_Record):
    """How the labels of a teacher without weights came about."""

    source: str
    """What it is, in a few words."""
    route: Literal["column", "local", "log_probs", "samples"]
    """Where its probabilities come from: a column of the rows, a causal model's scores, an API's log-probabilities,
    or repeated answers."""
    calibration: list[str]
    """What was done to the probabilities, in order."""
    train_rows: int
    """Training rows that have an answer."""
    test_rows: int
    flags: dict[str, int]
    """Training rows with something special about them, by its name."""


class Results(_Record):
    """Everything a report shows."""

    format: Literal["limbeck-results-1"] = "limbeck-results-1"
    name: str
    created: str
    """ISO 8601, UTC."""
    limbeck_version: str
    command: str
    """The exact command that makes this run again."""
    verdict: list[str]
    """Plain sentences: what was kept, lost, gained, and what cannot be said."""
    warnings: list[str]
    labels: list[str]
    train_rows: int
    labelled_rows: int
    test_rows: int
    left_out_rows: int
    """Rows put into quarantine."""
    recipe: str
    paper: str
    systems: list[System]
    comparisons: list[Comparison]
    curves: list[Curve]
    disagreements: list[Disagreement]
    costs: list[StageCost]
    resolved_run: str
    """The resolved run file, YAML."""
    environment: dict[str, str]
    """Versions and hardware."""
    data_fingerprints: dict[str, str]
    teacher_labels: TeacherLabels | None = None
    """None: the teacher is a classifier."""
    adapter: AdapterFigures | None = None
    """None: all of the student was trained."""
    most_frequent: System | None = None
    """What always giving the most frequent gold label would be worth; None without gold labels, and in older
    records."""
    calibration: StudentCalibration | None = None
    """None: the run has no development rows. The figures above are those of the logits as they are."""
