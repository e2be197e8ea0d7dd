"""The result record of a run with a generating student (``results.json``).

Every number carries its unit in its name. Shares are between 0 and 1. Intervals resample held-out rows, never
tokens: the tokens of one answer are not independent.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from limbeck.results import SIGNIFICANT, Curve, Interval, StageCost, SystemName
from limbeck.results.sections import HarnessFigure, Sample, SampleAnswer

__all__ = [
    "LOWER_IS_BETTER",
    "GenerationComparison",
    "GenerationFigures",
    "GenerationMetric",
    "GenerationResults",
    "GenerationSeed",
    "GenerationSpeed",
    "GenerationSystem",
    "HarnessFigure",
    "OneAnswer",
    "Retention",
    "Sample",
    "SampleAnswer",
    "WrittenText",
    "beats_one_answer",
]

GenerationMetric = Literal["nll_nats", "kl_to_teacher_nats", "agreement", "rouge_l", "exact_match", "numeric_match"]

LOWER_IS_BETTER: frozenset[GenerationMetric] = frozenset({"nll_nats", "kl_to_teacher_nats"})


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GenerationSpeed(_Record):
    """Size and speed of a model, measured on the machine of the run. ``None``: not measured."""

    parameters: int
    size_bytes: int
    """Weights on disk."""
    tokens_per_second: float | None
    """Written tokens, in batches of `batch_size`."""
    batch_size: int | None
    peak_memory_bytes: int | None


class WrittenText(_Record):
    """What a system's answers look like, right or wrong; means over seeds."""

    words: Interval
    """Mean number of words of an answer (a character of a script without spaces is a word)."""
    repeated_4_grams: Interval
    """Share of an answer's 4-grams of words that were there before in the same answer, mean over answers."""
    distinct_1: float
    """Different words over all words, of all answers together; falls with the number of answers."""
    distinct_2: float
    """The same of pairs of neighbouring words."""
    cut_off: Interval | None
    """Share of answers that the limit of tokens ended; None: not recorded."""
    empty: Interval
    """Share of answers without any visible character."""


class GenerationSeed(_Record):
    """The main figures of one training seed; None as in `GenerationSystem`."""

    seed: int
    nll_nats: float | None
    perplexity: float | None
    kl_to_teacher_nats: float | None
    agreement: float | None
    rouge_l: float | None
    exact_match: float | None
    numeric_match: float | None


class GenerationSystem(_Record):
    """One model on the held-out rows; over several seeds, figures are means over seeds.

    ``None``: not measured, or it does not apply (the teacher has no KL to itself).
    """

    name: SystemName
    title: str
    detail: str
    """One line for people: what this model is, e.g. "4 layers of width 256, 9.1 M parameters"."""
    nll_nats: Interval | None
    """Mean negative log-likelihood of a token of the references: each token has one vote."""
    nll_by_row_nats: Interval | None
    """The same with one vote for each row: mean over rows of the row's own mean."""
    perplexity: Interval | None
    """``exp(nll_nats)``; over seeds therefore the geometric mean of their perplexities."""
    kl_to_teacher_nats: Interval | None
    """Mean KL(teacher || student) of a token, at temperature 1, after the references' prefixes."""
    agreement: Interval | None
    """Share of the references' tokens at which teacher and student hold the same next token likeliest."""
    rouge_l: Interval | None
    """Mean ROUGE-L F1 of the answers with the references."""
    exact_match: Interval | None
    """Share of answers that are the reference, but for case, width and space."""
    numeric_match: Interval | None
    """Share of answers whose last number is the reference's."""
    written: WrittenText | None
    """None where the system wrote no answers."""
    seeds: list[GenerationSeed]
    speed: GenerationSpeed


class GenerationComparison(_Record):
    """Paired difference ``first - second`` of one metric over the same held-out rows."""

    first: SystemName
    second: SystemName
    metric: GenerationMetric
    difference: Interval
    """Seed-averaged difference; the interval resamples rows."""
    bootstrap_p_value: float
    per_seed_difference: list[float]
    t_test_p_value: float | None
    """Paired t-test over seeds; None with fewer than three, or where all seeds differ by the same."""


class OneAnswer(_Record):
    """What the most frequent reference would be worth as the answer to every prompt."""

    answer: str
    rows: int
    """Answered rows whose reference it is."""
    of_rows: int
    rouge_l: Interval | None
    exact_match: Interval | None
    numeric_match: Interval | None


class Retention(_Record):
    """What a system keeps of its teacher: 1 means as good as the teacher."""

    system: SystemName
    metric: Literal["perplexity", "rouge_l", "exact_match", "numeric_match"]
    kept: Interval
    """The system's figure over the teacher's; of perplexity, where less is better, the teacher's over the system's."""


def beats_one_answer(figures: GenerationFigures) -> bool:
    """Say whether the distilled student is significantly better than one answer to every prompt would be.

    True where that was not measured. A student that is not keeps nothing of its teacher.
    """
    found = (c for c in figures.comparisons if (c.first, c.second) == ("distilled", "most_frequent"))
    return all(c.difference.low > 0 and c.bootstrap_p_value < SIGNIFICANT for c in found)


class GenerationFigures(_Record):
    """What is measured: the part of `GenerationResults` that evaluation makes of the systems' outputs."""

    headline: GenerationMetric
    """The metric that the verdict is about: the first of `numeric_match`, `rouge_l`, `exact_match` and `nll_nats` that
    was measured."""
    systems: list[GenerationSystem]
    comparisons: list[GenerationComparison]
    """Distilled against fine-tuned, against the teacher, and (``most_frequent``, by the headline's metric) against one
    answer to every prompt."""
    retention: list[Retention]
    samples: list[Sample]
    warnings: list[str]
    """What could not be measured, and why."""
    one_answer: OneAnswer | None = None
    """None where references hardly repeat, where nothing was answered, and in older records."""


class GenerationResults(_Record):
    """Everything the report of a run with a generating student shows."""

    format: Literal["limbeck-generation-1"] = "limbeck-generation-1"
    name: str
    created: str
    """ISO 8601, UTC."""
    limbeck_version: str
    command: str
    """The exact command that makes this run again."""
    verdict: list[str]
    warnings: list[str]
    task: str
    """In a few words, e.g. "prompt and completion" or "plain text"."""
    teacher: str
    student: str
    """What they were loaded from."""
    encoder_decoder: bool
    """Whether the student is a sequence-to-sequence model; else a causal one."""
    recipe: str
    paper: str
    decoding: str | None
    """How answers were written, e.g. "greedy, at most 256 tokens"; None: no answers."""
    seeds: list[int]
    train_rows: int
    test_rows: int
    test_tokens: int
    """Tokens of the held-out references, as the student's tokenizer has them."""
    left_out_rows: int
    """Rows put into quarantine."""
    figures: GenerationFigures
    curves: list[Curve]
    costs: list[StageCost]
    resolved_run: str
    """The resolved run file, YAML."""
    environment: dict[str, str]
    """Versions and hardware."""
    data_fingerprints: dict[str, str]
