"""Sections: what a run reports beyond figures and comparisons, one type for each `kind`.

Each kind of run has the sections that apply to it. A new section needs a class here, a name in `Section`, and a file
in ``report/sections/``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.results.figures import Interval, Record, Slice

__all__ = [
    "Adapter",
    "AskedAgain",
    "Calibration",
    "Classes",
    "Confusion",
    "ConfusionMatrix",
    "Disagreement",
    "Disagreements",
    "Ensemble",
    "EnsembleMember",
    "Forgetting",
    "Gate",
    "Harness",
    "HarnessFigure",
    "Kept",
    "Languages",
    "LayerMap",
    "Money",
    "Reliability",
    "ReliabilityBin",
    "Retention",
    "RetrievalMemory",
    "Sample",
    "SampleAnswer",
    "Samples",
    "Search",
    "Section",
    "SimpleBaselines",
    "SimpleFit",
    "SourceCheck",
    "Speed",
    "Speeds",
    "SystemCost",
    "SystemCosts",
    "TeacherLabels",
    "Trial",
    "Writing",
]


class Speed(Record):
    """Size and speed of a model, measured on the machine of the run, all models in turn. ``None``: not measured."""

    parameters: int
    size_bytes: int
    """Weights on disk."""
    latency_ms_median: float | None = None
    """One row at a time."""
    latency_ms_p95: float | None = None
    throughput_rows_per_second: float | None = None
    """Rows in batches of `batch_size`."""
    tokens_per_second: float | None = None
    """Generated tokens, in batches of `batch_size`."""
    batch_size: int | None = None
    peak_memory_bytes: int | None = None
    """Peak resident memory of a fresh process (or peak device memory) that labels rows with this model."""


class Speeds(Record):
    """Size and speed of the systems, by name; systems that are not models are left out."""

    kind: Literal["speed"] = "speed"
    systems: dict[str, Speed]
    other_cores: float | None = None
    """Processor cores that other programs kept busy meanwhile; ``None``: not measured."""
    cores: int | None = None
    """Those of the machine."""
    threads: int | None = None
    """Those that a model runs in, on a processor."""


class Classes(Record):
    """The classes, in order; their figures are slices ``{"class": label}``."""

    kind: Literal["classes"] = "classes"
    labels: list[str]
    name: str = "classes"
    """The word for them, such as "entity types"."""


class ReliabilityBin(Record):
    """Rows whose confidence lies in (low, high]."""

    low: float
    high: float
    rows: int
    mean_confidence: float
    accuracy: float


class Reliability(Record):
    """How often systems are right at each confidence, by name; the rows of all seeds pooled."""

    kind: Literal["reliability"] = "reliability"
    systems: dict[str, list[ReliabilityBin]]


class ConfusionMatrix(Record):
    """The classes that are confused most. ``rows[i][j]`` held-out rows of class i were labelled j.

    The last row and column, named "(other)", collect all other classes; absent if there is none.
    """

    labels: list[str]
    rows: list[list[int]]


class Confusion(Record):
    """Confusion matrices of the systems, by name; the rows of all seeds pooled."""

    kind: Literal["confusion"] = "confusion"
    systems: dict[str, ConfusionMatrix]


class Disagreement(Record):
    """A held-out row on which the main system and the teacher differ."""

    text: str
    text_pair: str | None
    gold: str | None
    teacher_label: str
    teacher_confidence: float
    student_label: str
    student_confidence: float


class Disagreements(Record):
    """Rows on which the main system's first seed and the teacher differ, most confident first."""

    kind: Literal["disagreements"] = "disagreements"
    rows: list[Disagreement]


class SampleAnswer(Record):
    """The answer of one system to the prompt of a sample."""

    system: str
    text: str
    cut_off: bool | None
    """Whether the token limit ended it; None: not recorded."""
    rouge_l: float


class Sample(Record):
    """One held-out row with the answers of the teacher and the trained students (of their first seed)."""

    row: int
    """Index of the held-out row, from 0."""
    prompt: str
    reference: str
    answers: list[SampleAnswer]


class Samples(Record):
    """Some held-out rows with the systems' answers."""

    kind: Literal["samples"] = "samples"
    samples: list[Sample]


class Writing(Record):
    """How the students of a run generate text."""

    kind: Literal["writing"] = "writing"
    task: str
    """Layout of the rows in a few words, e.g. "prompt and completion" or "plain text"."""
    encoder_decoder: bool
    """Whether the student is a sequence-to-sequence model; else a causal one."""
    decoding: str | None
    """How answers were generated, e.g. "the most likely token, at most 256 tokens"; None: no answers."""
    test_tokens: int
    """Tokens of the held-out references in the student's tokenizer."""


class Kept(Record):
    """The share of the teacher's figure that a system keeps: 1 means as good as the teacher."""

    system: str
    metric: str
    slice: Slice = Field(default_factory=dict)
    budget: int | None = None
    kept: Interval
    """The system's figure over the teacher's; if less is better, the teacher's over the system's."""


class Retention(Record):
    """The shares of the teacher's figures that the systems keep."""

    kind: Literal["retention"] = "retention"
    kept: list[Kept]


class Languages(Record):
    """The languages and tasks of a cross-lingual run; figures are slices ``{"lang": code, "task": task}``.

    ``{"lang": code}`` is the mean over the tasks of a language, ``{"task": task}`` the mean over target languages,
    ``{"resource": "high"}`` the macro average over the target languages of that level.
    """

    kind: Literal["languages"] = "languages"
    source: str
    """The language of the instructions; it is in no macro average."""
    targets: list[str]
    """Target languages in the order of the run file."""
    names: dict[str, str]
    """By code."""
    resources: dict[str, Literal["source", "high", "low"]]
    """By code: high or low, as in the run file."""
    tasks: list[str]
    candidates: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Largest number of candidates of a record, by language and task."""


class SourceCheck(Record):
    """Accuracy on the source language after a stage."""

    system: str
    budget: int | None
    stage: str
    accuracy: float
    """Mean over seeds and tasks."""
    change: float
    """Difference from the teacher."""
    alarm: bool
    """Two points or more were lost."""


class Forgetting(Record):
    """Whether training on other languages has cost accuracy in the source language."""

    kind: Literal["forgetting"] = "forgetting"
    checks: list[SourceCheck]


class Gate(Record):
    """Share of the distillation rows that passed the confidence gate, by language; mean over seeds."""

    kind: Literal["gate"] = "gate"
    kept: dict[str, float]


class Adapter(Record):
    """The trained part of the student, if not all of it was trained."""

    kind: Literal["adapter"] = "adapter"
    name: str
    """Type of the adapter, such as ``lora``."""
    trainable_parameters: int
    """Parameters of adapter and head."""
    parameters: int
    """All parameters, while training; LoRA is merged afterwards."""
    notes: list[str]
    """Any remark about it on this machine."""


class TeacherLabels(Record):
    """The origin of a black-box teacher's labels."""

    kind: Literal["teacher_labels"] = "teacher_labels"
    source: str
    """A description of the teacher in a few words."""
    route: Literal["column", "local", "log_probs", "samples", "ensemble"]
    """Where its probabilities come from: a column of the rows, a causal model's scores, an API's log-probabilities,
    repeated answers, or the members of an ensemble."""
    calibration: list[str]
    """What was done to the probabilities, in order."""
    train_rows: int
    """Training rows that have an answer."""
    test_rows: int
    flags: dict[str, int]
    """Training rows with each flag, by its name."""


class EnsembleMember(Record):
    """A member of an ensemble teacher."""

    title: str
    weight: float
    """Its share of the ensemble; the weights sum to 1."""
    right: float | None
    """Accuracy on the held-out rows that it answers; None: none of them has a gold label."""
    right_out_of_fold: float | None
    """Share of the labels it was compared on that it gives, each by a model that did not learn the row; None for the
    member whose own labels these are."""
    seconds: float
    """Time to train it, all folds together."""
    labels_from: Literal["field", "api", "model"] | None = None
    """Where the labels of a member that does not learn come from; None: it learns."""


class AskedAgain(Record):
    """Training rows that an API in an ensemble was asked about again, as its other members contradicted it."""

    rows: int
    """Rows with a second opinion."""
    changed: int
    """Rows with another label after it."""
    left_out: int
    """Rows that the budget left no room for."""


class Ensemble(Record):
    """The members of a cross-fitted teacher, and how they are combined."""

    kind: Literal["ensemble"] = "ensemble"
    members: list[EnsembleMember]
    folds: int
    learned_rows: int
    """Training rows with a label that the members learned."""
    labels: Literal["gold", "teacher"]
    """Labels that the weights were fitted on: gold ones, or those of the member that does not learn."""
    fitted_rows: int
    """Rows that the weights were fitted on."""
    temperature: float | None
    """Of the weighted mean; None: not fitted."""
    confidence: float | None = None
    """Of the field's labels that came without one; None: there are none."""
    refit: bool = False
    """Whether rows that are not learned were answered by models that learned all others."""
    rounds: int = 1
    relabelled_rows: int = 0
    """Learned rows that had another label in the last round than in the first."""
    asked_again: AskedAgain | None = None
    """What an API was asked again; None: it was not."""


class Calibration(Record):
    """Temperatures: a system's logits divided by its own give calibrated probabilities."""

    kind: Literal["calibration"] = "calibration"
    temperature: float
    """Of the exported student."""
    rows: int
    """Development rows it was fitted on."""
    labels: str
    """``gold`` or ``teacher``: the source of the labels."""
    systems: dict[str, list[float]] = Field(default_factory=dict)
    """The temperatures of each system whose figures are with them, by seed; empty in older records, where no figure
    is."""


class Money(Record):
    """The price of device hours."""

    amount: float
    currency: str


class SystemCost(Record):
    """The cost of one system over all its stages, the teacher's included; mean over seeds."""

    system: str
    budget: int | None = None
    devices: int
    device_hours: float
    teacher_hours: float
    """Of these, the hours of the teacher's training (0 for systems that need none)."""
    tokens: int
    peak_memory_bytes: int
    energy_kwh: float | None
    """None if the machine has no meter."""
    saving: float | None
    """``1 - device hours of the main system / device hours of this one``; None for the main system and the teacher."""
    money: Money | None = None
    """Device hours times the run file's rate; None without a rate."""


class SystemCosts(Record):
    """The cost of each system at each budget."""

    kind: Literal["system_costs"] = "system_costs"
    systems: list[SystemCost]


class Trial(Record):
    """One setting tried on development rows, with the first seed."""

    system: str
    budget: int | None = None
    settings: dict[str, float]
    """For example ``{"learning_rate": 3e-5}``."""
    value: float | None
    """The kind's first metric on development rows; None if the loss or the metric stopped being finite."""
    chosen: bool


class Search(Record):
    """The search for settings: the same number of trials for every system."""

    kind: Literal["search"] = "search"
    metric: str
    rows: int
    """Number of development rows."""
    trials: list[Trial]
    other_seconds: float = 0.0
    """What the trials took that were not chosen; those that were are the systems themselves, of the first seed."""


class LayerMap(Record):
    """Layers of students that are compared with the teacher layers most like them."""

    kind: Literal["layer_map"] = "layer_map"
    similarity: list[list[float]]
    """Unbiased linear CKA of the mean states of rows: ``similarity[i][j]`` of student layer ``i + 1`` and teacher
    layer ``j + 1``, before the students are trained."""
    rows: int
    """Training rows that it was measured on."""
    maps: dict[str, list[tuple[int, int]]]
    """By system: (student layer, teacher layer) pairs, counted from 1."""
    random_student: bool
    """Whether students begin with random weights: the map then means nothing."""


class RetrievalMemory(Record):
    """Training rows that the student looks up when it answers."""

    kind: Literal["retrieval_memory"] = "retrieval_memory"
    rows: int
    neighbours: int
    """Rows that are looked up for each text."""
    temperature: float
    """Of their weights."""
    own_share: float
    """Share of the student's own probabilities in its answer."""
    chosen_on: int
    """Development rows that these were chosen on; 0: those of the recipe."""


class SimpleFit(Record):
    """How a simple baseline was fitted."""

    system: str
    reads: str
    """What it reads of a text, in a few words."""
    labels: Literal["gold", "teacher"]
    """What it learned: gold labels, or the teacher's where no training row has one."""
    rows: int
    """Training rows that it learned."""
    cpu_seconds: float
    """Time of the processor for all of it, on any number of cores: reading the texts, choosing C, fitting and
    answering the held-out rows."""
    inverse_strength: float
    """The C of its logistic regression, chosen by cross-validation on these rows."""


class SimpleBaselines(Record):
    """What anybody fits in seconds, without a teacher: systems in the role ``simple``."""

    kind: Literal["simple_baselines"] = "simple_baselines"
    fits: list[SimpleFit]


class HarnessFigure(Record):
    """One metric of one task of the Language Model Evaluation Harness."""

    system: str
    task: str
    metric: str
    """With the name of the harness's filter in brackets, if there is one."""
    value: float
    """In the metric's own unit; shares between 0 and 1."""
    standard_error: float | None
    """As reported by the harness."""
    higher_is_better: bool | None
    samples: int | None
    """Number of samples; None for a group of tasks."""
    shots: int | None
    """Solved examples before each question."""
    version: str
    """Version of the task: figures of different versions cannot be compared."""


class Harness(Record):
    """Tasks of the Language Model Evaluation Harness."""

    kind: Literal["harness"] = "harness"
    figures: list[HarnessFigure]


Section = Annotated[
    Speeds
    | Classes
    | Reliability
    | Confusion
    | Disagreements
    | Writing
    | Samples
    | Retention
    | Languages
    | Forgetting
    | Gate
    | Adapter
    | TeacherLabels
    | Ensemble
    | Calibration
    | SystemCosts
    | Search
    | LayerMap
    | RetrievalMemory
    | SimpleBaselines
    | Harness,
    Field(discriminator="kind"),
]
