"""The result record of a cross-lingual run (``results.json``): what each system does in each language.

Every number carries its unit in its name. Shares are between 0 and 1. Figures are never pooled over
languages: a macro average gives each language one vote, and each task within it one vote.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from limbeck.results import Curve, Interval, McNemar, StageCost

__all__ = [
    "Cell",
    "Effect",
    "EnglishCheck",
    "LanguageComparison",
    "LanguageDifference",
    "LanguageResults",
    "LanguageSystem",
    "Money",
    "SeedCell",
    "SystemCost",
    "TTest",
    "beats_most_frequent",
]

Metric = Literal["accuracy", "mrr"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeedCell(_Record):
    """One training seed in one task and language."""

    seed: int
    accuracy: float
    mrr: float


class Cell(_Record):
    """One task in one language; figures are means over seeds, intervals resample records."""

    task: str
    lang: str
    resource: Literal["source", "high", "low"]
    """``source``: the language of the instructions; high and low as the run file says."""
    records: int
    candidates: int
    """Most candidates of a record."""
    accuracy: Interval
    """Share of records whose best-scored candidate is right; a tie of n best counts 1/n."""
    mrr: Interval
    """Mean reciprocal rank of the (best) right candidate; a tie counts half."""
    seeds: list[SeedCell]
    ndcg: Interval | None = None
    """Mean nDCG of the queries with two pages or more; None where pages are not ranked."""
    span_f1: Interval | None = None
    """Micro F1 over entity types of the spans that are asked about, which is not the entity F1 of taggers; None
    where there are no entities."""


class LanguageSystem(_Record):
    """One system with one budget of target-language labels."""

    name: str
    """``english_model`` (the teacher after stage 1, zero-shot), ``ml_ipd``, ``ml_dft``, ``pl_bl``, ``rl_ia``,
    ``transfer`` (the control without distillation)."""
    title: str
    n_target: int
    """Labelled records for each task and target language."""
    cells: list[Cell]
    """The source language too; it is not in the macro averages."""
    macro_accuracy: Interval
    """Over target languages."""
    macro_mrr: Interval
    high_accuracy: float | None
    """Macro over high-resource target languages; None without any."""
    low_accuracy: float | None


def beats_most_frequent(system: LanguageSystem, most_frequent: float) -> bool:
    """Say whether a system is clearly better than one answer for all records of a task in a language."""
    return system.macro_accuracy.low > most_frequent


class Effect(_Record):
    """A paired difference with its bootstrap interval and p-value (records resampled within task and language)."""

    difference: Interval
    bootstrap_p_value: float


class TTest(_Record):
    """Paired t-test over (language, seed) cells."""

    t: float
    degrees_of_freedom: int
    p_value: float
    mean: float
    low: float
    high: float
    """Bounds of the 95 % interval of the mean."""


class LanguageDifference(_Record):
    """One language of a comparison."""

    lang: str
    resource: Literal["source", "high", "low"]
    effect: Effect
    t_test: TTest | None
    """Over the seeds of this language; None with fewer than three seeds or no spread."""
    holm_p_value: float | None
    """The t-test's p-value corrected by Holm over the languages of this comparison."""
    mcnemar: list[McNemar]
    """One for each seed, over all tasks of the language."""


class LanguageComparison(_Record):
    """``first - second`` at one budget of target-language labels."""

    first: str
    second: str
    n_target: int
    metric: Metric
    macro: Effect
    t_test: TTest | None
    """Over all (language, seed) cells; None where it is not defined."""
    holm_p_value: float | None
    """The t-test's p-value corrected by Holm over the comparisons of this metric."""
    high_difference: float | None
    low_difference: float | None
    languages: list[LanguageDifference]


class EnglishCheck(_Record):
    """Accuracy on the source language after a stage: distillation must not cost it."""

    system: str
    n_target: int
    stage: str
    accuracy: float
    """Mean over seeds and tasks."""
    change: float
    """Against the English model."""
    alarm: bool
    """Two points or more were lost."""


class Money(_Record):
    """What device hours cost."""

    amount: float
    currency: str


class SystemCost(_Record):
    """What one system took over all its stages, the English model's included; mean over seeds."""

    name: str
    n_target: int
    devices: int
    device_hours: float
    english_model_hours: float
    """Of these, the hours of the English model (0 for systems that do not start from it)."""
    tokens: int
    peak_memory_bytes: int
    energy_kwh: float | None
    """None where the machine has no meter."""
    saving: float | None
    """``1 - device hours of ml_ipd / device hours of this system``; None for ml_ipd and the English model."""
    money: Money | None = None
    """Device hours times the run file's rate; None without a rate."""


class LanguageResults(_Record):
    """Everything the report of a cross-lingual run shows."""

    format: Literal["limbeck-languages-1"] = "limbeck-languages-1"
    name: str
    created: str
    limbeck_version: str
    command: str
    verdict: list[str]
    warnings: list[str]
    source_language: str
    languages: list[str]
    """Target languages in the order of the run file."""
    language_names: dict[str, str]
    tasks: list[str]
    seeds: list[int]
    pairing: str
    prompts: str
    scorer: str
    kept_by_gate: dict[str, float]
    """Share of stage-2 records that passed the confidence gate, by language; mean over seeds."""
    records: dict[str, int]
    """Records by use: ``english``, ``paired``, ``target`` at each budget, ``test``."""
    systems: list[LanguageSystem]
    comparisons: list[LanguageComparison]
    english: list[EnglishCheck]
    costs: list[SystemCost]
    stage_costs: list[StageCost]
    curves: list[Curve]
    resolved_run: str
    environment: dict[str, str]
    data_fingerprints: dict[str, str]
    most_frequent: float | None = None
    """Macro accuracy over the target languages of one answer for all records of a task in a language: the most
    frequent one, and chance where records bring their own candidates. None in older records."""
