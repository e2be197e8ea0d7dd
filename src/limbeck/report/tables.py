"""The tables of every run: figures of all systems, of each seed, comparisons, and training costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from limbeck.formatting import (
    ABSENT,
    MINUS,
    bytes_text,
    count_text,
    duration_text,
    energy_text,
    milliseconds_text,
    p_value_text,
    parameters_text,
    rate_text,
)
from limbeck.report.block import Cell, Column, Row, Table
from limbeck.report.lookup import budget_text, main_figure, metrics_in
from limbeck.report.palette import looks
from limbeck.report.values import (
    column_title,
    difference_cell,
    difference_text,
    figure_cell,
    in_sentence,
    value_text,
)
from limbeck.results.figures import Comparison, Metric, Test
from limbeck.results.record import Results, StageCost, System
from limbeck.results.sections import Speed

__all__ = [
    "absence_notes",
    "budget_rows",
    "comparison_table",
    "figure_table",
    "headline_table",
    "seed_table",
    "stage_table",
    "system_cell",
    "test_cells",
    "whole_table",
]


@dataclass(frozen=True)
class _SpeedColumn:
    title: str
    small: str
    of: Callable[[Speed], Cell]


_SPEED = [
    _SpeedColumn("Parameters", "all", lambda s: Cell(parameters_text(s.parameters))),
    _SpeedColumn("Size", "on disk", lambda s: Cell(bytes_text(s.size_bytes))),
    _SpeedColumn(
        "Latency",
        "one row",
        lambda s: Cell(
            milliseconds_text(s.latency_ms_median),
            "" if s.latency_ms_p95 is None else f"p95 {milliseconds_text(s.latency_ms_p95).removesuffix(' ms')}",
        ),
    ),
    _SpeedColumn("Throughput", "rows", lambda s: Cell(rate_text(s.throughput_rows_per_second), _batch(s.batch_size))),
    _SpeedColumn("Writes", "tokens", lambda s: Cell(rate_text(s.tokens_per_second), _batch(s.batch_size))),
    _SpeedColumn("Memory", "peak", lambda s: Cell(bytes_text(s.peak_memory_bytes))),
]


def _batch(rows: int | None) -> str:
    return "" if rows is None else f"batch {count_text(rows)}"


def system_cell(results: Results, name: str, *, detail: bool = False) -> Cell:
    """Return the head of a row: the system's mark and title."""
    system = results.system(name)
    small = system.detail if system and detail else ""
    return Cell(results.title(name), small, look=looks(results).get(name))


def budget_rows(
    results: Results, entries: Sequence[tuple[System, int | None]], row: Callable[[System, int | None], Row]
) -> list[Row]:
    """Return a row for each system and budget, under a heading for each budget."""
    rows: list[Row] = []
    before: int | None = None
    for system, budget in entries:
        if budget != before:
            words = "At any budget" if budget is None else budget_text(budget).capitalize()
            rows.append(Row([Cell(words)], heading=True))
        before = budget
        rows.append(row(system, budget))
    return rows


def headline_table(results: Results) -> Table:
    """Return the first table of a report: quality and cost of the systems."""
    return figure_table(results, metrics_in(results, "headline"), "Systems", headline=True)


def whole_table(results: Results) -> Table:
    """Return all figures over all rows in one table, regardless of the tables of the page."""
    return figure_table(results, metrics_in(results), "Systems", headline=True)


def figure_table(results: Results, metrics: list[Metric], label: str, *, headline: bool = False) -> Table:
    """Return figures over all rows, a row for each system that has one.

    Args:
        results: the record.
        metrics: one column each.
        label: of the table.
        headline: whether to add size and speed.
    """
    speeds = [speed for system in results.systems if headline and (speed := results.speed(system.name))]
    costs = [cost for cost in _SPEED if any(cost.of(speed).text != ABSENT for speed in speeds)]

    def row(system: System, budget: int | None) -> Row:
        cells = [figure_cell(m, results.figure(system.name, m.key, budget=budget)) for m in metrics]
        speed = results.speed(system.name)
        cells += [cost.of(speed) if speed else Cell(ABSENT) for cost in costs]
        return Row([system_cell(results, system.name, detail=headline), *cells], main=system.role == "main")

    columns = [Column("System", kind="words"), *(Column(column_title(m), m.detail) for m in metrics)]
    columns += [Column(cost.title, cost.small, starts_costs=cost is costs[0]) for cost in costs]
    entries = _entries(results, metrics) if headline else results.table(metrics)
    return Table(label, columns, budget_rows(results, entries, row), brief=True, headline=headline)


def _entries(results: Results, metrics: list[Metric]) -> list[tuple[System, int | None]]:
    """Return the rows of the headline table; a system of which only the size is known has one too."""
    entries = results.table(metrics)
    if results.budgets():
        return entries
    measured = {system.name for system, _ in entries}
    return [(system, None) for system in results.systems if system.name in measured or results.speed(system.name)]


def absence_notes(results: Results) -> list[str]:
    """Return why figures of the headline table are missing, one sentence per reason."""
    shown = metrics_in(results, "headline")
    models = [system for system in results.systems if system.role not in ("simple", "constant")]
    missing = [m for m in results.metrics if m.table == "headline" and m not in shown]
    notes = []
    if of_teacher := [m for m in missing if _needs_teacher(m)]:
        need = f"need{'s' if len(of_teacher) == 1 else ''} the teacher's output on the held-out rows"
        notes.append(f"{_listed([m.title for m in of_teacher])} {need}, which was not available.")
    if others := [m for m in missing if not _needs_teacher(m)]:
        notes.append(f"Not measured on these rows, or not asked for: {_listed([m.title for m in others])}.")
    teacher = results.role("teacher")
    if teacher and (own := [m for m in shown if _needs_teacher(m)]):
        names = _listed([in_sentence(m.title) for m in own], "or")
        notes.append(f"{teacher.title}: no {names}, since it would be compared with itself.")
    if any(results.speed(s.name) for s in models):
        notes += [
            f"{system.title} is known only by its answers: no model was run, so there is no size or speed."
            for system in models
            if results.speed(system.name) is None
        ]
    if unmeasured := [system for system in results.roles("simple") if results.speed(system.name) is None]:
        names = _listed([in_sentence(s.title) if place else s.title for place, s in enumerate(unmeasured)])
        notes += [f"{names}: size and speed were not measured."] if any(results.speed(s.name) for s in models) else []
    if constant := results.role("constant"):
        lacks = [in_sentence(m.title) for m in shown if main_figure(results, constant, m) is None]
        lacks += ["size", "speed"] if any(results.speed(s.name) for s in models) else []
        notes += [f"{constant.title}: no {_listed(lacks, 'or')}, since it is not a model."] if lacks else []
    return notes


def _needs_teacher(metric: Metric) -> bool:
    return "teacher" in f"{metric.title} {metric.detail}"


def _listed(words: list[str], last: str = "and") -> str:
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def seed_table(results: Results) -> Table | None:
    """Return the figures of single seeds; ``None`` if no system was trained more than once."""
    metrics = metrics_in(results)
    has_seeds = {f.metric for f in results.figures if len(f.seeds) > 1 and not f.slice}
    metrics = [metric for metric in metrics if metric.key in has_seeds]
    budgets = results.budgets()
    rows = []
    for system, budget in results.table(metrics):
        figures = [results.figure(system.name, metric.key, budget=budget) for metric in metrics]
        seeds = sorted({seed for figure in figures if figure for seed in figure.seeds})
        for seed in seeds if len(seeds) > 1 else []:
            values = [value_text(m, f.seeds.get(seed) if f else None) for m, f in zip(metrics, figures, strict=True)]
            labels = [Cell(ABSENT if budget is None else budget_text(budget))] if budgets else []
            rows.append(Row([system_cell(results, system.name), *labels, Cell(str(seed)), *map(Cell, values)]))
    columns = [
        Column("System", kind="words"),
        *([Column("Labels")] if budgets else []),
        Column("Seed"),
        *(Column(column_title(metric)) for metric in metrics),
    ]
    return Table("Figures of each seed", columns, rows) if rows else None


def comparison_table(results: Results, comparisons: Sequence[Comparison], label: str) -> Table:
    """Return paired differences with their tests, without empty columns.

    If pairs are compared by several figures at one budget, each pair is a heading for its figures.
    """
    budgets = any(c.budget is not None for c in comparisons)
    tests = _test_columns(comparisons)
    beside = _untested(results, comparisons)
    grouped = not budgets and len({c.metric for c in comparisons}) > 1
    columns = [
        *([] if grouped else [Column("Compared", kind="words")]),
        Column("Figure", kind="words"),
        *([Column("Labels")] if budgets else []),
        Column("Difference", "95 % interval"),
        *tests.values(),
        *(Column(value.capitalize(), key) for key, value in beside),
    ]

    def pair(c: Comparison) -> str:
        return f"{results.title(c.first)} against {results.title(c.second)}"

    def row(c: Comparison) -> Row:
        metric = results.metric(c.metric)
        better = {True: "more is better", False: "less is better", None: ""}[metric.higher_is_better]
        differences = [
            results.comparison(c.first, c.second, c.metric, slice={key: value}, budget=c.budget)
            for key, value in beside
        ]
        return Row(
            [
                *([] if grouped else [Cell(pair(c))]),
                Cell(metric.title, better),
                *([Cell(ABSENT if c.budget is None else budget_text(c.budget))] if budgets else []),
                difference_cell(metric, c),
                *test_cells(metric, c, tests),
                *(Cell(difference_text(metric, found.value if found else None)) for found in differences),
            ]
        )

    if not grouped:
        return Table(label, columns, [row(c) for c in comparisons])
    rows = []
    for words in dict.fromkeys(map(pair, comparisons)):
        rows += [Row([Cell(words)], heading=True), *(row(c) for c in comparisons if pair(c) == words)]
    return Table(label, columns, rows)


def _untested(results: Results, comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return slices in which the same pairs have a difference but no test: they get a column each."""
    pairs = {(c.first, c.second, c.metric) for c in comparisons if not c.slice}
    found = [
        next(iter(c.slice.items()))
        for c in results.comparisons
        if len(c.slice) == 1 and not c.tests and (c.first, c.second, c.metric) in pairs
    ]
    return list(dict.fromkeys(found))


_TESTS = {
    "bootstrap": Column("Bootstrap", "over rows"),
    "mcnemar": Column("McNemar", "rows only one has right"),
    "seeds": Column("Per seed"),
    "t": Column("t-test", "over seeds"),
    "holm": Column("Holm", "t-test, corrected"),
}


def _test_columns(comparisons: Sequence[Comparison]) -> dict[str, Column]:
    """Return the columns of tests that at least one comparison has."""
    made: set[str] = {test.name for c in comparisons for test in c.tests}
    made |= {"seeds"} if any(c.seeds for c in comparisons) else set()
    return {name: column for name, column in _TESTS.items() if name in made}


def test_cells(metric: Metric, comparison: Comparison | None, names: Iterable[str]) -> list[Cell]:
    """Return the result of each test on a comparison.

    Args:
        metric: of the comparison.
        comparison: ``None`` if there is none.
        names: of tests, and ``seeds`` for the difference of each seed.
    """
    if comparison is None:
        return [Cell(ABSENT) for _ in names]
    return [_test_cell(metric, comparison, name) for name in names]


test_cells.__test__ = False  # type: ignore[attr-defined]  # not a pytest function


def _test_cell(metric: Metric, comparison: Comparison, name: str) -> Cell:
    if name == "seeds":
        values = [difference_text(metric, value, unit=False) for value in comparison.seeds.values()]
        return Cell("\n".join(values) or ABSENT)
    found = [test for test in comparison.tests if test.name == name]
    if not found:
        return Cell(ABSENT)
    if name == "mcnemar":
        return Cell("\n".join(map(_mcnemar_text, found)))
    return Cell(p_value_text(found[0].p_value), _t_text(metric, found[0]))


def _mcnemar_text(test: Test) -> str:
    """Return the counts of rows that only one system has right, then the p-value."""
    first, second = (count_text(int(test.details[f"only_{side}_right"])) for side in ("first", "second"))
    return f"seed {test.seed}: {first} to {second}, {p_value_text(test.p_value)}"


def _t_text(metric: Metric, test: Test) -> str:
    if "t" not in test.details:
        return ""
    ends = [difference_text(metric, test.details[end], unit=False) for end in ("low", "high") if end in test.details]
    t = f"t({test.details['degrees_of_freedom']:.0f}) = {test.details['t']:.2f}".replace("-", MINUS)
    return f"{t}; {' to '.join(ends)}" if ends else t


def stage_table(results: Results) -> Table | None:
    """Return the cost of each stage, with the sum; ``None`` if nothing was recorded."""
    if not results.costs:
        return None
    measured = any(cost.energy_kwh is not None for cost in results.costs)
    titles = ["Time", "Steps", "Rows seen", "Tokens seen", "Peak memory", *(["Energy"] if measured else [])]
    columns = [Column("System", kind="words"), Column("Stage", kind="words"), Column("Seed"), *map(Column, titles)]
    rows = [
        Row([system_cell(results, c.system), Cell(c.stage), Cell(str(c.seed)), *_amounts([c], measured)])
        for c in results.costs
    ]
    foot = Row([Cell("All"), Cell(""), Cell(""), *_amounts(results.costs, measured)])
    return Table("What each stage took", columns, rows, foot)


def _amounts(costs: list[StageCost], measured: bool) -> list[Cell]:
    energies = [cost.energy_kwh for cost in costs if cost.energy_kwh is not None]
    texts = [
        duration_text(sum(cost.seconds for cost in costs)),
        count_text(sum(cost.steps for cost in costs)),
        count_text(sum(cost.rows_seen for cost in costs)),
        count_text(sum(cost.tokens_seen for cost in costs)),
        bytes_text(max(cost.peak_memory_bytes for cost in costs)),
        *([energy_text(sum(energies) if energies else None)] if measured else []),
    ]
    return [Cell(text) for text in texts]
