"""Figures of a generation run, from the students' answers and their probabilities of the references.

Two sources of chance are kept apart: the held-out rows (bootstrap over rows, the same samples for all systems) and the
training seed (t-test over seeds). Rows are resampled, never tokens: the tokens of one answer are not independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from limbeck.evaluation.generation.exact_match import normalised
from limbeck.evaluation.generation.numeric_match import final_number
from limbeck.evaluation.generation.outputs import HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.repetition import distinct_share
from limbeck.evaluation.generation.samples import choose_samples
from limbeck.evaluation.measured import Found, Measured, compared_pairs, comparisons, figures, retention
from limbeck.evaluation.metrics.generation import DISTINCT, GENERATION, WriterOutputs
from limbeck.evaluation.metrics.measure import Measure, measure
from limbeck.results.figures import Figure
from limbeck.results.record import System
from limbeck.results.sections import Retention, Samples

__all__ = ["TextMetric", "Writer", "measure_writing"]

TextMetric = Literal["rouge_l", "exact_match", "numeric_match"]
_TEXT_METRICS: tuple[TextMetric, ...] = ("numeric_match", "rouge_l", "exact_match")
"""The verdict uses the first of them that was measured."""
_PER_TOKEN = ("perplexity", "nll", "nll_by_row")
"""Metrics that cannot be compared over different tokens."""
_REPEATED = 0.05
"""References repeat if the most frequent one has this share of the answered rows."""


@dataclass(frozen=True)
class Writer:
    """One system with its outputs by training seed; the teacher and a student before training may have one seed."""

    system: System
    outputs: Mapping[int, SystemOutputs]


def measure_writing(
    systems: Sequence[Writer],
    held_out: HeldOutTexts,
    *,
    metrics: Collection[TextMetric] = ("rouge_l", "exact_match"),
) -> Measured:
    """Return all figures, with 95 % bootstrap intervals over rows.

    Args:
        systems: on the same rows; figures are means over their seeds.
        held_out: the rows' texts; needed if systems wrote answers.
        metrics: how answers are measured against references. A reference without a number counts as missed in
            ``numeric_match``, for every system.

    Raises:
        DataError: two compared systems have several seeds each, but not the same ones.
    """
    constant = _one_answer(systems, held_out)
    every = [*systems, *([constant] if constant else [])]
    measures = [one for one in GENERATION if one.metric.key not in _TEXT_METRICS or one.metric.key in metrics]
    outputs = {
        one.system.name: {seed: WriterOutputs(found, held_out.references) for seed, found in one.outputs.items()}
        for one in every
    }
    found = measure(outputs, measures)
    if constant is not None:
        found = {key: sampled for key, sampled in found.items() if key[0] != "constant" or key[1] in _TEXT_METRICS}
    described = [one.system for one in every]
    main = next(one.system.name for one in systems if one.system.role == "main")
    headline = next((key for key in _TEXT_METRICS if (main, key) in found), "nll")
    return Measured(
        metrics=[*(one.metric for one in GENERATION), *DISTINCT],
        headline=headline,
        systems=described,
        figures=figures(found) + [figure for one in systems for figure in _distinct(one, outputs[one.system.name])],
        comparisons=[
            comparison
            for pair in compared_pairs(described)
            for comparison in comparisons(found, [pair], _comparable(measures, pair, systems), headline)
        ],
        sections=[
            _retention(found, systems, measures),
            Samples(samples=choose_samples(_first_seeds(systems), held_out)),
        ],
        warnings=[
            *_infinite(systems),
            *_without_numbers(metrics, held_out),
            *_different_tokens(systems),
        ],
    )


def _comparable(
    measures: Sequence[Measure[WriterOutputs]], pair: tuple[System, System], systems: Sequence[Writer]
) -> list[Measure[WriterOutputs]]:
    both = [one for one in systems if one.system in pair]
    return [one for one in measures if one.metric.key not in _PER_TOKEN or _same_tokens(*both)]


def _retention(found: Found, systems: Sequence[Writer], measures: Sequence[Measure[WriterOutputs]]) -> Retention:
    kept = []
    for teacher in (one for one in systems if one.system.role == "teacher"):
        for student in (one for one in systems if one is not teacher):
            pair = (student.system, teacher.system)
            kept += retention(found, pair, _comparable(measures, pair, systems)).kept
    return Retention(kept=kept)


def _one_answer(systems: Sequence[Writer], held_out: HeldOutTexts) -> Writer | None:
    """Return the constant baseline: the most frequent reference as the answer to every answered prompt.

    ``None`` if references hardly repeat. If they do, as with labels in words, a student may score well with one answer
    to everything.
    """
    texts = next((o.texts for one in systems if one.system.role == "main" for o in one.outputs.values()), None)
    answered = [row for row, text in enumerate(texts or ()) if text is not None]
    counts = Counter(normalised(held_out.references[row]) for row in answered)
    if texts is None or not counts:
        return None
    answer, rows = counts.most_common(1)[0]
    if rows < max(2, _REPEATED * len(answered)):
        return None
    written = next(held_out.references[row] for row in answered if normalised(held_out.references[row]) == answer)
    outputs = SystemOutputs(
        tokens_N=np.ones(len(texts), dtype=np.int64),
        nll_sum_N=None,
        texts=[None if text is None else written for text in texts],
    )
    detail = f"'{written}', the reference of {rows:,} of {len(answered):,} answered rows"
    system = System(name="constant", title="Always the most frequent answer", role="constant", detail=detail)
    return Writer(system, {0: outputs})


def _distinct(one: Writer, by_seed: Mapping[int, WriterOutputs]) -> list[Figure]:
    """Return the shares of different words and of different adjacent pairs: mean over seeds."""
    written = [
        [said for said, answered in zip(outputs.words, outputs.answered_N, strict=True) if answered]
        for outputs in by_seed.values()
        if outputs.outputs.texts is not None
    ]
    if len(written) < len(by_seed):
        return []
    return [
        Figure(
            system=one.system.name,
            metric=metric.key,
            value=float(np.mean([distinct_share(texts, n) for texts in written])),
        )
        for n, metric in enumerate(DISTINCT, start=1)
    ]


def _first_seeds(systems: Sequence[Writer]) -> dict[str, SystemOutputs]:
    """Return first-seed outputs of all systems but the untrained student, whose answers are not worth reading."""
    return {one.system.name: one.outputs[min(one.outputs)] for one in systems if one.system.role != "student_init"}


def _infinite(systems: Sequence[Writer]) -> list[str]:
    """Report figures that single rows make infinite: their mean would say nothing."""
    return [
        f"{one.system.title}, seed {seed}: the {what} is not finite on {faulty} held-out rows (it rules out a token "
        "that occurs), so it is not shown."
        for one in systems
        for seed, outputs in one.outputs.items()
        for what, sums_N in (("loss", outputs.nll_sum_N), ("KL to the teacher", outputs.kl_sum_N))
        if sums_N is not None and (faulty := int((~np.isfinite(sums_N)).sum()))
    ]


def _without_numbers(metrics: Collection[TextMetric], held_out: HeldOutTexts) -> list[str]:
    bare = sum(final_number(text) is None for text in held_out.references) if "numeric_match" in metrics else 0
    if not bare:
        return []
    return [f"{bare} of {len(held_out.references)} references contain no number and count as missed by all systems."]


def _same_tokens(*systems: Writer) -> bool:
    """Whether losses per token are over the same tokens; with two tokenizers they cannot be compared."""
    all_tokens = [outputs.tokens_N for one in systems for outputs in one.outputs.values()]
    return all(np.array_equal(tokens, all_tokens[0]) for tokens in all_tokens)


def _different_tokens(systems: Sequence[Writer]) -> list[str]:
    pair = [one for one in systems if one.system.role in ("teacher", "main")]
    if _same_tokens(*pair):
        return []
    return [
        "Teacher and student split the references into different tokens, so their perplexities are not comparable."
    ]
