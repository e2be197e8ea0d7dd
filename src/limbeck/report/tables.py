"""The tables of a report, as text: the headline for page, card and terminal, the longer ones for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from limbeck.formatting import (
    bare_range,
    bytes_text,
    count_text,
    decimal_text,
    duration_text,
    milliseconds_text,
    p_value_text,
    parameters_text,
    points_text,
    range_text,
    rate_text,
    share_text,
    shorten_apart,
)
from limbeck.results import (
    AdapterFigures,
    Comparison,
    Interval,
    McNemar,
    Results,
    Speed,
    StageCost,
    StudentCalibration,
    System,
    TeacherLabels,
)

__all__ = [
    "HEADLINE",
    "METRIC_TITLES",
    "ONE_VS_REST",
    "Cell",
    "ClassRow",
    "Column",
    "ComparisonRow",
    "absence_notes",
    "adapter_text",
    "calibration_text",
    "class_rows",
    "comparison_rows",
    "cost_rows",
    "headline_rows",
    "mcnemar_text",
    "one_vs_rest_rows",
    "seed_rows",
    "stage_cost_rows",
    "system_of",
    "systems_shown",
    "teacher_labels_text",
    "title_of",
]

_CLASSES_NAMED = 5

METRIC_TITLES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "agreement": "Agreement with teacher"}

_ROUTES = {
    "column": "the confidence of the given label, and equal shares of the rest for all others",
    "local": "a causal model's scores of the labels",
    "log_probs": "the log-probabilities of an API's answers",
    "samples": "the shares of repeated answers",
}

_SYSTEM_TITLES: dict[str, str] = {
    "teacher": "Teacher",
    "student_before": "Student before",
    "fine_tuned": "Fine-tuned",
    "random_order": "In random order",
    "distilled": "Distilled",
    "most_frequent": "Always the most frequent label",
}


@dataclass(frozen=True)
class Cell:
    """One figure of the headline table."""

    text: str
    range: str = ""
    """The 95 % interval, without unit."""


@dataclass(frozen=True)
class Column:
    """One column of the headline table."""

    title: str
    unit: str
    """In a few words, what the figure counts; stands under the title."""
    cell: Callable[[System], Cell]


HEADLINE = [
    Column("Accuracy", "rows right", lambda s: Cell(_share(s.accuracy), bare_range(s.accuracy))),
    Column("Macro F1", "over classes", lambda s: Cell(_share(s.macro_f1), bare_range(s.macro_f1))),
    Column("Agreement", "with teacher", lambda s: Cell(_share(s.agreement), bare_range(s.agreement))),
    Column(
        "KL, nats",
        "to teacher",
        lambda s: Cell(
            decimal_text(s.kl_to_teacher_nats.value if s.kl_to_teacher_nats else None),
            bare_range(s.kl_to_teacher_nats, unit="nats"),
        ),
    ),
    Column("ECE", "calibration", lambda s: Cell(share_text(s.expected_calibration_error))),
    Column("Parameters", "all", lambda s: _of_model(s, lambda v: Cell(parameters_text(v.parameters)))),
    Column("Size", "on disk", lambda s: _of_model(s, lambda v: Cell(bytes_text(v.size_bytes)))),
    Column(
        "Latency",
        "one row",
        lambda s: _of_model(
            s, lambda v: Cell(milliseconds_text(v.latency_ms_median), f"p95 {_bare_ms(v.latency_ms_p95)}")
        ),
    ),
    Column(
        "Throughput",
        "in batches",
        lambda s: _of_model(
            s, lambda v: Cell(rate_text(v.throughput_rows_per_second), f"batch {count_text(v.batch_size)}")
        ),
    ),
    Column("Memory", "peak", lambda s: _of_model(s, lambda v: Cell(bytes_text(v.peak_memory_bytes)))),
]
"""The columns of the headline table; the first five say how good a system is, the others what it costs."""

ONE_VS_REST = [
    Column("Sensitivity", "macro mean", lambda s: Cell(_share(s.sensitivity), bare_range(s.sensitivity))),
    Column("Specificity", "macro mean", lambda s: Cell(_share(s.specificity), bare_range(s.specificity))),
]
"""How every class fares against all the others."""


def systems_shown(results: Results) -> list[System]:
    """Return the rows of the headline table: all systems, and what one label for all rows would be worth."""
    return [*results.systems, *([results.most_frequent] if results.most_frequent else [])]


def headline_rows(results: Results, *, intervals: bool = True) -> list[list[str]]:
    """Lay out the headline table: one row per system, header first.

    Args:
        results: the record of a run.
        intervals: whether a figure is followed by its interval in brackets. The second
            lines of latency and throughput (p95, batch size) come and go with it.
    """
    rows = [["System", *(column.title for column in HEADLINE)]]
    for system in systems_shown(results):
        cells = [column.cell(system) for column in HEADLINE]
        rows.append([system.title, *(_flat(cell) if intervals else cell.text for cell in cells)])
    return rows


def one_vs_rest_rows(results: Results) -> list[list[str]]:
    """Lay out sensitivity and specificity, one row per system, header first; empty where none was measured."""
    rows = [
        [system.title, *(_flat(column.cell(system)) for column in ONE_VS_REST)]
        for system in systems_shown(results)
        if system.sensitivity or system.specificity
    ]
    return [["System", *(column.title for column in ONE_VS_REST)], *rows] if rows else []


def absence_notes(results: Results) -> list[str]:
    """Say why figures of the headline table are missing, one sentence per reason."""
    others = [system for system in results.systems if system.name != "teacher"]
    notes = []
    if any(system.accuracy is None for system in results.systems):
        notes.append("Accuracy, macro F1 and calibration need gold labels, which the held-out rows lack.")
    if any(system.agreement is None for system in others):
        notes.append("Agreement and KL need the teacher's output on the held-out rows, which was not available.")
    if any(system.name == "teacher" and system.agreement is None for system in results.systems):
        notes.append("The teacher has no agreement and no KL: it would be compared with itself.")
    if any(system.speed is None for system in results.systems):
        notes.append("The teacher is known by its labels alone: no model was run that could have a size or a speed.")
    if results.most_frequent:
        notes.append("Always the most frequent label is no model: it has no probabilities, size or speed.")
    if without_rows := _classes_without_rows(results):
        names = ", ".join(shorten_apart(without_rows[:_CLASSES_NAMED], 40))
        more = f" and {len(without_rows) - _CLASSES_NAMED} more" if len(without_rows) > _CLASSES_NAMED else ""
        notes.append(f"No held-out row is of the class {names}{more}: macro F1 and sensitivity leave it out.")
    return notes


@dataclass(frozen=True)
class ComparisonRow:
    """One comparison in words."""

    title: str
    metric: str
    difference: str
    range: str
    clear: bool
    """Whether the interval leaves out zero."""
    bootstrap: str
    mcnemar: list[str]
    per_seed: list[str]
    t_test: str


def comparison_rows(results: Results) -> list[ComparisonRow]:
    """Put every comparison of the record into words."""
    return [_comparison_row(results, comparison) for comparison in results.comparisons]


@dataclass(frozen=True)
class ClassRow:
    """One class over all systems."""

    label: str
    rows: str
    f1: list[str]
    """In the order of ``results.systems``."""
    change: str
    """From teacher to distilled student."""
    sensitivity: str
    """Of the distilled student, as the next one."""
    specificity: str


def class_rows(results: Results) -> list[ClassRow]:
    """List F1 per class and system, in the order of ``results.labels``, then classes not named there."""
    tables = [{figures.label: figures for figures in system.per_class} for system in results.systems]
    named = dict.fromkeys([*results.labels, *(label for table in tables for label in table)])
    by_system = dict(zip((system.name for system in results.systems), tables, strict=True))
    rows = []
    for label in named:
        found = [table.get(label) for table in tables]
        if not any(found):
            continue
        teacher, distilled = (by_system.get(name, {}).get(label) for name in ("teacher", "distilled"))
        # Figures of a trained system pool the rows of its seeds, so the smallest count is the one held out.
        held_out = min(figures.rows for figures in found if figures)
        f1 = [share_text(figures.f1 if figures else None) for figures in found]
        change = points_text(distilled.f1 - teacher.f1 if teacher and distilled else None)
        sensitivity = share_text(distilled.recall if distilled and distilled.rows else None)
        specificity = share_text(distilled.specificity if distilled else None)
        rows.append(ClassRow(label, count_text(held_out), f1, change, sensitivity, specificity))
    return rows


def cost_rows(results: Results) -> list[list[str]]:
    """List what each stage of a classification run took: header first, the sum of all stages last."""
    return stage_cost_rows(results.costs, lambda name: title_of(results, name))


def stage_cost_rows(costs: list[StageCost], title_of: Callable[[str], str]) -> list[list[str]]:
    """List what each stage took: header first, the sum of all stages last.

    Args:
        costs: one entry for each stage and seed.
        title_of: how the system of a name is called.
    """
    header = ["System", "Stage", "Seed", "Time", "Steps", "Rows seen", "Tokens seen", "Peak memory"]
    rows = [[title_of(cost.system), cost.stage, str(cost.seed), *_amounts([cost])] for cost in costs]
    return [header, *rows, ["All", "", "", *_amounts(costs)]] if rows else []


def seed_rows(results: Results) -> list[list[str]]:
    """List the figures of single seeds, header first; empty if no system was trained more than once."""
    header = ["System", "Seed", "Accuracy", "Macro F1", "Sensitivity", "Specificity", "Agreement", "KL, nats"]
    rows = [
        [
            system.title,
            str(seed.seed),
            share_text(seed.accuracy),
            share_text(seed.macro_f1),
            share_text(seed.sensitivity),
            share_text(seed.specificity),
            share_text(seed.agreement),
            decimal_text(seed.kl_to_teacher_nats),
        ]
        for system in results.systems
        if len(system.seeds) > 1
        for seed in system.seeds
    ]
    return [header, *rows] if rows else []


def system_of(results: Results, name: str) -> System | None:
    """Return the system of that name, if the run has it."""
    return next((system for system in results.systems if system.name == name), None)


def title_of(results: Results, name: str) -> str:
    """Return how a system is called, also where the run lacks it."""
    system = system_of(results, name)
    return system.title if system else _SYSTEM_TITLES.get(name, name)


def teacher_labels_text(labels: TeacherLabels | None) -> str:
    """Say in one line where the labels of a teacher without weights came from, and what was done to them."""
    if labels is None:
        return ""
    done = f", calibrated ({', '.join(labels.calibration)})" if labels.calibration else ", not calibrated"
    flags = "".join(f"; {count_text(rows)} rows: {name.replace('_', ' ')}" for name, rows in labels.flags.items())
    return (
        f"Teacher: {labels.source}. Its probabilities are {_ROUTES[labels.route]}{done}; "
        f"{count_text(labels.train_rows)} training rows have an answer{flags}."
    )


def calibration_text(calibration: StudentCalibration | None) -> str:
    """Say in one line what makes the exported student's probabilities honest."""
    if calibration is None:
        return ""
    whose = "gold labels" if calibration.labels == "gold" else "labels of the teacher"
    return (
        f"Alerts divide the student's logits by the temperature {calibration.temperature:.2f}, fitted on "
        f"{count_text(calibration.rows)} development rows with {whose}; the figures below are before that."
    )


def adapter_text(adapter: AdapterFigures | None) -> str:
    """Say in one line what of the student was trained."""
    if adapter is None:
        return ""
    share = share_text(adapter.trainable_parameters / adapter.parameters)
    return (
        f"Trained with an adapter ({adapter.kind}): {count_text(adapter.trainable_parameters)} of "
        f"{count_text(adapter.parameters)} parameters ({share}), the head included; all others were left unchanged, "
        "and were checked."
    )


def mcnemar_text(test: McNemar) -> str:
    """Write McNemar's test of one seed: the rows that only one system has right, then the p-value."""
    first, second = count_text(test.only_first_right), count_text(test.only_second_right)
    return f"seed {test.seed}: {first} to {second}, {p_value_text(test.p_value)}"


def _classes_without_rows(results: Results) -> list[str]:
    """Classes that no held-out row has, where the record has figures of classes."""
    figures = next((system.per_class for system in results.systems if system.per_class), [])
    return [of_class.label for of_class in figures if of_class.rows == 0]


def _comparison_row(results: Results, comparison: Comparison) -> ComparisonRow:
    difference = comparison.difference
    return ComparisonRow(
        title=f"{title_of(results, comparison.first)} against {title_of(results, comparison.second)}",
        metric=METRIC_TITLES[comparison.metric],
        difference=points_text(difference.value),
        range=range_text(difference, unit="points"),
        clear=difference.low > 0 or difference.high < 0,
        bootstrap=p_value_text(comparison.bootstrap_p_value),
        mcnemar=[mcnemar_text(test) for test in comparison.mcnemar],
        per_seed=[points_text(value).removesuffix(" points") for value in comparison.per_seed_difference],
        t_test=p_value_text(comparison.t_test_p_value),
    )


def _amounts(costs: list[StageCost]) -> list[str]:
    return [
        duration_text(sum(cost.seconds for cost in costs)),
        count_text(sum(cost.steps for cost in costs)),
        count_text(sum(cost.rows_seen for cost in costs)),
        count_text(sum(cost.tokens_seen for cost in costs)),
        bytes_text(max(cost.peak_memory_bytes for cost in costs)),
    ]


def _of_model(system: System, cell: Callable[[Speed], Cell]) -> Cell:
    return Cell(share_text(None)) if system.speed is None else cell(system.speed)


def _share(interval: Interval | None) -> str:
    return share_text(interval.value if interval else None)


def _bare_ms(milliseconds: float) -> str:
    return milliseconds_text(milliseconds).removesuffix(" ms")


def _flat(cell: Cell) -> str:
    return f"{cell.text} ({cell.range})" if cell.range else cell.text
