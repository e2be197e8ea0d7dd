"""The tables of the report of a generating student, as text: for page, model card and terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from limbeck.formatting import (
    ABSENT,
    bare_range,
    bytes_text,
    count_text,
    decimal_text,
    p_value_text,
    parameters_text,
    perplexity_text,
    points_text,
    range_text,
    rate_text,
    share_text,
    shorten,
    signed_text,
)
from limbeck.generation_results import (
    LOWER_IS_BETTER,
    GenerationComparison,
    GenerationFigures,
    GenerationMetric,
    GenerationResults,
    GenerationSystem,
    OneAnswer,
)
from limbeck.report.tables import Cell
from limbeck.results import Interval

__all__ = [
    "METRIC_TITLES",
    "ONE_ANSWER",
    "GenerationColumn",
    "GenerationComparisonRow",
    "difference_range",
    "difference_text",
    "generation_comparison_rows",
    "generation_headline",
    "generation_headline_rows",
    "generation_seed_rows",
    "generation_system",
    "generation_title",
    "loss_rows",
    "one_answer_text",
    "written_rows",
]

ONE_ANSWER = "Always the most frequent answer"

METRIC_TITLES: dict[str, str] = {
    "numeric_match": "Right numbers",
    "rouge_l": "ROUGE-L",
    "exact_match": "Exact match",
    "perplexity": "Perplexity",
    "nll_nats": "Loss per token",
    "kl_to_teacher_nats": "KL to teacher",
    "agreement": "Token agreement",
}

_SYSTEM_TITLES = {
    "teacher": "Teacher",
    "student_before": "Student before",
    "fine_tuned": "Fine-tuned",
    "distilled": "Distilled",
    "most_frequent": ONE_ANSWER,
}


@dataclass(frozen=True)
class GenerationColumn:
    """One column of the headline table."""

    title: str
    unit: str
    """In a few words, what the figure counts; stands under the title."""
    cell: Callable[[GenerationSystem], Cell]
    of_answer: Callable[[OneAnswer], Cell] = lambda _: Cell(ABSENT)
    """The same of one answer to every prompt."""


_HEADLINE = [
    GenerationColumn(
        "Right numbers", "of answers", lambda s: _share_cell(s.numeric_match), lambda a: _share_cell(a.numeric_match)
    ),
    GenerationColumn("ROUGE-L", "F1", lambda s: _share_cell(s.rouge_l), lambda a: _share_cell(a.rouge_l)),
    GenerationColumn(
        "Exact match", "of answers", lambda s: _share_cell(s.exact_match), lambda a: _share_cell(a.exact_match)
    ),
    GenerationColumn("Perplexity", "of references", lambda s: _perplexity_cell(s.perplexity)),
    GenerationColumn("KL, nats", "to teacher", lambda s: _nats_cell(s.kl_to_teacher_nats)),
    GenerationColumn("Agreement", "tokens as teacher", lambda s: _share_cell(s.agreement)),
    GenerationColumn(
        "Parameters",
        "size on disk",
        lambda s: Cell(parameters_text(s.speed.parameters), bytes_text(s.speed.size_bytes)),
    ),
    GenerationColumn(
        "Writes",
        "tokens",
        lambda s: Cell(
            rate_text(s.speed.tokens_per_second),
            "" if s.speed.batch_size is None else f"batch {count_text(s.speed.batch_size)}",
        ),
    ),
    GenerationColumn("Memory", "peak", lambda s: Cell(bytes_text(s.speed.peak_memory_bytes))),
]


def generation_headline(figures: GenerationFigures) -> list[GenerationColumn]:
    """Return the columns of the headline table: those that say something of at least one system."""
    return [c for c in _HEADLINE if any(c.cell(system).text != ABSENT for system in figures.systems)]


def generation_headline_rows(results: GenerationResults, *, intervals: bool = True) -> list[list[str]]:
    """Lay out the headline table: one row per system, header first.

    Args:
        results: the record of a run.
        intervals: whether a figure is followed by its interval in brackets.
    """
    columns = generation_headline(results.figures)
    rows = [["System", *(column.title for column in columns)]]
    for system in results.figures.systems:
        cells = [column.cell(system) for column in columns]
        rows.append([system.title, *_texts(cells, intervals)])
    if results.figures.one_answer is not None:
        cells = [column.of_answer(results.figures.one_answer) for column in columns]
        rows.append([ONE_ANSWER, *_texts(cells, intervals)])
    return rows


def _texts(cells: list[Cell], intervals: bool) -> list[str]:
    return [f"{cell.text} ({cell.range})" if intervals and cell.range else cell.text for cell in cells]


def one_answer_text(figures: GenerationFigures) -> str:
    """Say in one line what answer that is, and how many rows ask for it."""
    found = figures.one_answer
    if found is None:
        return ""
    rows = f"{count_text(found.rows)} of {count_text(found.of_rows)} answered rows"
    return f"'{shorten(found.answer, 60)}', the reference of {rows}"


def loss_rows(figures: GenerationFigures) -> list[list[str]]:
    """List each system's loss on the references, header first; empty if it was not measured."""
    rows = [
        [system.title, _nats_with_range(system.nll_nats), _nats_with_range(system.nll_by_row_nats)]
        for system in figures.systems
        if system.nll_nats
    ]
    return [["System", "Nats per token", "Nats per row"], *rows] if rows else []


def written_rows(figures: GenerationFigures) -> list[list[str]]:
    """List what the answers of each system look like, header first; empty if there are no answers."""
    header = ["System", "Words", "Repeated 4-grams", "Distinct words", "Distinct pairs", "Cut off", "Empty"]
    rows = [
        [
            system.title,
            f"{system.written.words.value:.1f}",
            _with_range(system.written.repeated_4_grams),
            share_text(system.written.distinct_1),
            share_text(system.written.distinct_2),
            _with_range(system.written.cut_off),
            _with_range(system.written.empty),
        ]
        for system in figures.systems
        if system.written
    ]
    return [header, *rows] if rows else []


def generation_seed_rows(figures: GenerationFigures) -> list[list[str]]:
    """List the figures of single seeds, header first; empty if no system was trained more than once."""
    metrics = [m for m in METRIC_TITLES if any(getattr(s, m) is not None for s in figures.systems)]
    rows = [
        [system.title, str(seed.seed), *(_figure_text(metric, getattr(seed, metric)) for metric in metrics)]
        for system in figures.systems
        if len(system.seeds) > 1
        for seed in system.seeds
    ]
    return [["System", "Seed", *(METRIC_TITLES[metric] for metric in metrics)], *rows] if rows else []


@dataclass(frozen=True)
class GenerationComparisonRow:
    """One comparison in words."""

    title: str
    metric: str
    better: str
    """Which direction is the better one."""
    difference: str
    range: str
    clear: bool
    """Whether the interval leaves out zero."""
    bootstrap: str
    per_seed: list[str]
    t_test: str


def generation_comparison_rows(figures: GenerationFigures) -> list[GenerationComparisonRow]:
    """Put every comparison of the record into words."""
    return [
        GenerationComparisonRow(
            title=f"{generation_title(figures, c.first)} against {generation_title(figures, c.second)}",
            metric=METRIC_TITLES[c.metric],
            better="less is better" if c.metric in LOWER_IS_BETTER else "more is better",
            difference=difference_text(c.metric, c.difference.value),
            range=difference_range(c),
            clear=c.difference.low > 0 or c.difference.high < 0,
            bootstrap=p_value_text(c.bootstrap_p_value),
            per_seed=[difference_text(c.metric, value, unit=False) for value in c.per_seed_difference],
            t_test=p_value_text(c.t_test_p_value),
        )
        for c in figures.comparisons
    ]


def difference_text(metric: GenerationMetric, difference: float, *, unit: bool = True) -> str:
    """Write a difference with its sign: nats where less is better, else points."""
    if metric in LOWER_IS_BETTER:
        return f"{signed_text(difference)}{' nats' if unit else ''}"
    return points_text(difference) if unit else points_text(difference).removesuffix(" points")


def difference_range(comparison: GenerationComparison) -> str:
    """Write the bounds of a difference."""
    if comparison.metric in LOWER_IS_BETTER:
        return f"{signed_text(comparison.difference.low)} to {signed_text(comparison.difference.high)}"
    return range_text(comparison.difference, unit="points")


def generation_system(figures: GenerationFigures, name: str) -> GenerationSystem | None:
    """Return the system of that name, if the run has it."""
    return next((system for system in figures.systems if system.name == name), None)


def generation_title(figures: GenerationFigures, name: str) -> str:
    """Return how a system is called, also where the run lacks it."""
    system = generation_system(figures, name)
    return system.title if system else _SYSTEM_TITLES.get(name, name)


def _figure_text(metric: str, value: float | None) -> str:
    if metric == "perplexity":
        return perplexity_text(value)
    return decimal_text(value) if metric in LOWER_IS_BETTER else share_text(value)


def _with_range(interval: Interval | None) -> str:
    return f"{share_text(interval.value)} ({bare_range(interval)})" if interval else ABSENT


def _nats_with_range(interval: Interval | None) -> str:
    return f"{decimal_text(interval.value)} ({bare_range(interval, unit='nats')})" if interval else ABSENT


def _share_cell(interval: Interval | None) -> Cell:
    return Cell(share_text(interval.value if interval else None), bare_range(interval))


def _nats_cell(interval: Interval | None) -> Cell:
    return Cell(decimal_text(interval.value if interval else None), bare_range(interval, unit="nats"))


def _perplexity_cell(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(ABSENT)
    return Cell(perplexity_text(interval.value), f"{perplexity_text(interval.low)}–{perplexity_text(interval.high)}")
