"""From what the systems did to their figures: one at a time, and two against each other.

Chance is that of the held-out rows (bootstrap over rows, the same samples for all systems) and, kept apart from
it, that of the training seed (t-test over seeds).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.evaluation.generation.exact_match import normalised
from limbeck.evaluation.generation.numeric_match import final_number
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.repetition import distinct_share
from limbeck.evaluation.generation.row_figures import Quantity, RowFigure, TextMetric, row_figures
from limbeck.evaluation.generation.samples import choose_samples
from limbeck.evaluation.generation.words import words
from limbeck.evaluation.significance import bootstrap_p_value, paired_t_test, resampled_means
from limbeck.generation_results import (
    GenerationComparison,
    GenerationFigures,
    GenerationMetric,
    GenerationSeed,
    GenerationSystem,
    OneAnswer,
    Retention,
    WrittenText,
)
from limbeck.results import Interval, SystemName

__all__ = ["measure_generation"]

_RESAMPLES = 2000
_METRICS: tuple[GenerationMetric, ...] = get_args(GenerationMetric)
_KEPT: tuple[TextMetric, ...] = get_args(TextMetric)
_TEXT_METRICS: tuple[TextMetric, ...] = ("rouge_l", "exact_match", "numeric_match")
_ONE_ANSWER: SystemName = "most_frequent"
_REPEATED = 0.05
"""References repeat if the most frequent one is that of this share of the answered rows."""
_COMPARED: tuple[tuple[SystemName, SystemName], ...] = (("distilled", "fine_tuned"), ("distilled", "teacher"))


def measure_generation(
    systems: Sequence[GeneratingSystem],
    held_out: HeldOutTexts,
    *,
    metrics: Collection[TextMetric] = ("rouge_l", "exact_match"),
) -> GenerationFigures:
    """Return all figures, with 95 % bootstrap intervals over rows.

    Args:
        systems: on the same rows; figures are means over their seeds.
        held_out: the rows' texts; needed where systems wrote answers.
        metrics: how answers are measured against references. A reference without a number counts as missed in
            ``numeric_match``, for every system alike.

    Raises:
        DataError: two systems that are compared have several seeds each, and not the same.
    """
    measured = {
        (system.name, seed): row_figures(outputs, held_out.references, metrics)
        for system in systems
        for seed, outputs in system.outputs.items()
    }
    warnings = _drop_infinite(measured, {system.name: system.title for system in systems})
    repeated = _most_frequent_reference(systems, held_out)
    if repeated is not None:
        measured[_ONE_ANSWER, 0] = row_figures(repeated.outputs, held_out.references, metrics)
    draws = _Draws(measured)
    if "numeric_match" in metrics and (bare := sum(final_number(text) is None for text in held_out.references)):
        warnings.append(f"{bare} of {len(held_out.references)} references hold no number and count as missed by all.")
    warnings += _different_tokens(systems)
    headline = _headline(draws)
    comparisons = _comparisons(draws, systems)
    if repeated is not None and (compared := _compare(draws, "distilled", _ONE_ANSWER, headline)) is not None:
        comparisons.append(compared)
    return GenerationFigures(
        headline=headline,
        systems=[_describe(draws, system) for system in systems],
        comparisons=comparisons,
        retention=_retention(draws, systems),
        samples=choose_samples(
            {s.name: s.outputs[min(s.outputs)] for s in systems if s.name != "student_before"}, held_out
        ),
        warnings=warnings,
        one_answer=None if repeated is None else _one_answer(draws, repeated),
    )


class _Repeated(NamedTuple):
    """The most frequent reference as the answer to every prompt."""

    answer: str
    rows: int
    of_rows: int
    outputs: SystemOutputs


def _most_frequent_reference(systems: Sequence[GeneratingSystem], held_out: HeldOutTexts) -> _Repeated | None:
    """Return it for the rows that the distilled student answered; ``None`` where references hardly repeat.

    Where they do, as labels in words, a student may earn much by one answer to everything.
    """
    texts = next((o.texts for s in systems if s.name == "distilled" for o in s.outputs.values()), None)
    if texts is None:
        return None
    answered = [row for row, text in enumerate(texts) if text is not None]
    counts = Counter(normalised(held_out.references[row]) for row in answered)
    if not counts:
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
    return _Repeated(written, rows, len(answered), outputs)


def _one_answer(draws: _Draws, repeated: _Repeated) -> OneAnswer:
    rouge_l, exact_match, numeric_match = (draws.interval(_ONE_ANSWER, metric) for metric in _TEXT_METRICS)
    return OneAnswer(
        answer=repeated.answer,
        rows=repeated.rows,
        of_rows=repeated.of_rows,
        rouge_l=rouge_l,
        exact_match=exact_match,
        numeric_match=numeric_match,
    )


class _Draws:
    """Each figure of each system and seed: of the rows themselves, then of each bootstrap sample of them.

    NaN in samples without any row that the figure speaks of, which happens where few rows are answered.
    """

    def __init__(self, measured: Mapping[tuple[SystemName, int], Mapping[Quantity, RowFigure]]) -> None:
        figures = {(*key, quantity): figure for key, found in measured.items() for quantity, figure in found.items()}
        values_NM = np.column_stack([column for figure in figures.values() for column in figure])
        draws = resampled_means(values_NM, resamples=_RESAMPLES, rng=np.random.default_rng(0))
        means = np.vstack([values_NM.mean(axis=0), draws])
        self._seeds = sorted(measured)
        with np.errstate(invalid="ignore"):
            self._draws = {key: means[:, 2 * i] / means[:, 2 * i + 1] for i, key in enumerate(figures)}

    def by_seed(self, name: SystemName, quantity: Quantity) -> dict[int, NDArray[np.float64]]:
        """``[1 + samples]`` by seed; empty where it was not measured for every seed."""
        seeds = [seed for system, seed in self._seeds if system == name]
        found = {seed: self._draws[name, seed, quantity] for seed in seeds if (name, seed, quantity) in self._draws}
        return found if len(found) == len(seeds) else {}

    def mean(self, name: SystemName, quantity: Quantity) -> NDArray[np.float64] | None:
        """``[1 + samples]``, mean over seeds."""
        by_seed = self.by_seed(name, quantity)
        return np.mean(list(by_seed.values()), axis=0) if by_seed else None

    def interval(self, name: SystemName, quantity: Quantity) -> Interval | None:
        draws = self.mean(name, quantity)
        return None if draws is None else _interval(draws)


def _drop_infinite(
    measured: Mapping[tuple[SystemName, int], dict[Quantity, RowFigure]], titles: Mapping[SystemName, str]
) -> list[str]:
    """Take out figures that one row makes infinite, and say so: a mean of them would say nothing."""
    warnings = []
    for (name, seed), figures in measured.items():
        for quantity in [q for q, figure in figures.items() if not np.isfinite(figure.values_N).all()]:
            faulty = (~np.isfinite(figures.pop(quantity).values_N)).sum()
            if quantity != "nll_by_row_nats":
                what = "KL to the teacher" if quantity == "kl_to_teacher_nats" else "loss"
                warnings.append(
                    f"{titles[name]}, seed {seed}: the {what} is not finite on {faulty} held-out rows (it rules out a "
                    "token that occurs), so it is not shown."
                )
    return warnings


def _headline(draws: _Draws) -> GenerationMetric:
    order: tuple[GenerationMetric, ...] = ("numeric_match", "rouge_l", "exact_match")
    return next((metric for metric in order if draws.mean("distilled", metric) is not None), "nll_nats")


def _describe(draws: _Draws, system: GeneratingSystem) -> GenerationSystem:
    nll = draws.interval(system.name, "nll_nats")
    return GenerationSystem(
        name=system.name,
        title=system.title,
        detail=system.detail,
        nll_nats=nll,
        nll_by_row_nats=draws.interval(system.name, "nll_by_row_nats"),
        perplexity=None if nll is None else _mapped(nll, np.exp),
        kl_to_teacher_nats=draws.interval(system.name, "kl_to_teacher_nats"),
        agreement=draws.interval(system.name, "agreement"),
        rouge_l=draws.interval(system.name, "rouge_l"),
        exact_match=draws.interval(system.name, "exact_match"),
        numeric_match=draws.interval(system.name, "numeric_match"),
        written=_written(draws, system),
        seeds=[_seed(draws, system.name, seed) for seed in sorted(system.outputs)],
        speed=system.speed,
    )


def _written(draws: _Draws, system: GeneratingSystem) -> WrittenText | None:
    length, repeated, empty = (draws.interval(system.name, q) for q in ("words", "repeated_4_grams", "empty"))
    if length is None or repeated is None or empty is None:
        return None
    split = [[words(text) for text in outputs.texts or () if text is not None] for outputs in system.outputs.values()]
    return WrittenText(
        words=length,
        repeated_4_grams=repeated,
        distinct_1=float(np.mean([distinct_share(texts, 1) for texts in split])),
        distinct_2=float(np.mean([distinct_share(texts, 2) for texts in split])),
        cut_off=draws.interval(system.name, "cut_off"),
        empty=empty,
    )


def _seed(draws: _Draws, name: SystemName, seed: int) -> GenerationSeed:
    found = {metric: draws.by_seed(name, metric).get(seed) for metric in _METRICS}
    values = {metric: None if figure is None else float(figure[0]) for metric, figure in found.items()}
    nll = values["nll_nats"]
    return GenerationSeed(seed=seed, perplexity=None if nll is None else float(np.exp(nll)), **values)


def _comparisons(draws: _Draws, systems: Sequence[GeneratingSystem]) -> list[GenerationComparison]:
    by_name = {system.name: system for system in systems}
    found = []
    for first, second in _COMPARED:
        if not {first, second} <= set(by_name):
            continue
        for metric in _METRICS:
            if metric == "nll_nats" and not _same_tokens(by_name[first], by_name[second]):
                continue
            if (compared := _compare(draws, first, second, metric)) is not None:
                found.append(compared)
    return found


def _compare(
    draws: _Draws, first: SystemName, second: SystemName, metric: GenerationMetric
) -> GenerationComparison | None:
    """Compare two systems by one metric; ``None`` where it was not measured for both."""
    pairs = _paired(draws.by_seed(first, metric), draws.by_seed(second, metric), first, second)
    if not pairs:
        return None
    differences = [a - b for a, b in pairs]
    mean = np.mean(differences, axis=0)
    per_seed = [float(difference[0]) for difference in differences]
    return GenerationComparison(
        first=first,
        second=second,
        metric=metric,
        difference=_interval(mean),
        bootstrap_p_value=bootstrap_p_value(mean[1:][~np.isnan(mean[1:])]),
        per_seed_difference=per_seed,
        t_test_p_value=paired_t_test(per_seed),
    )


def _paired(
    first: Mapping[int, NDArray[np.float64]],
    second: Mapping[int, NDArray[np.float64]],
    first_name: str,
    second_name: str,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Both systems seed by seed; a system with one seed, such as the teacher, meets every seed of the other."""
    if not first or not second:
        return []
    if len(first) > 1 and len(second) > 1 and set(first) != set(second):
        raise DataError(
            f"{first_name} and {second_name} are compared seed by seed, but have seeds {sorted(first)} and "
            f"{sorted(second)}; train both with the same seeds"
        )
    seeds = sorted(first if len(first) > 1 else second)

    def of(figures: Mapping[int, NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
        return figures[seed] if len(figures) > 1 else next(iter(figures.values()))

    return [(of(first, seed), of(second, seed)) for seed in seeds]


def _retention(draws: _Draws, systems: Sequence[GeneratingSystem]) -> list[Retention]:
    by_name = {system.name: system for system in systems}
    if "teacher" not in by_name:
        return []
    found = []
    for system in systems:
        if system.name == "teacher":
            continue
        teacher, own = draws.mean("teacher", "nll_nats"), draws.mean(system.name, "nll_nats")
        if teacher is not None and own is not None and _same_tokens(system, by_name["teacher"]):
            kept = _interval(np.exp(teacher - own))
            found.append(Retention(system=system.name, metric="perplexity", kept=kept))
        for metric in _KEPT:
            teacher, own = draws.mean("teacher", metric), draws.mean(system.name, metric)
            # A share of nothing: no such figure, and no interval where a sample of rows has none.
            if teacher is not None and own is not None and np.nanmin(teacher) > 0:
                found.append(Retention(system=system.name, metric=metric, kept=_interval(own / teacher)))
    return found


def _same_tokens(first: GeneratingSystem, second: GeneratingSystem) -> bool:
    """Whether losses per token are of the same tokens; with two tokenizers they cannot be compared."""
    all_tokens = [outputs.tokens_N for system in (first, second) for outputs in system.outputs.values()]
    return all(np.array_equal(tokens, all_tokens[0]) for tokens in all_tokens)


def _different_tokens(systems: Sequence[GeneratingSystem]) -> list[str]:
    by_name = {system.name: system for system in systems}
    if {"teacher", "distilled"} <= set(by_name) and not _same_tokens(by_name["teacher"], by_name["distilled"]):
        return [
            "Teacher and student split the references into different tokens, so their perplexities are of different "
            "things and are not compared."
        ]
    return []


def _interval(figure_and_draws: NDArray[np.float64]) -> Interval:
    low, high = np.nanquantile(figure_and_draws[1:], [0.025, 0.975])
    return Interval(value=float(figure_and_draws[0]), low=float(low), high=float(high))


def _mapped(interval: Interval, function: Callable[[float], float]) -> Interval:
    return Interval(
        value=float(function(interval.value)), low=float(function(interval.low)), high=float(function(interval.high))
    )
