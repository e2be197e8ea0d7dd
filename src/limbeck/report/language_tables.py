"""Tables over the systems of a cross-lingual run, as text for page, model card and terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from limbeck.formatting import (
    ABSENT,
    bare_range,
    bytes_text,
    count_text,
    decimal_text,
    energy_text,
    hours_text,
    points_text,
    saving_text,
    share_text,
)
from limbeck.language_results import Cell, LanguageResults, LanguageSystem, SystemCost
from limbeck.report.language_comparisons import labels_text
from limbeck.report.looks import look_of
from limbeck.report.retention import (
    accuracy_in,
    budgets,
    language_name,
    macro_retention,
    system_title,
    systems_at,
)
from limbeck.results import Interval

__all__ = [
    "BudgetRows",
    "EnglishRow",
    "GateRow",
    "SystemRow",
    "cost_rows",
    "english_rows",
    "gate_rows",
    "official_rows",
    "seed_rows",
    "system_rows",
    "task_rows",
]


@dataclass(frozen=True)
class SystemRow:
    """One system at one label budget."""

    title: str
    mark: str
    """CSS class of the system's mark."""
    focus: bool
    accuracy: str
    accuracy_range: str
    mrr: str
    mrr_range: str
    high: str
    low: str
    english: str
    """Accuracy on the source language, which no macro average holds."""
    kept: str
    """Share of the English model's accuracy on English, mean over target languages."""
    device_hours: str
    saving: str


@dataclass(frozen=True)
class BudgetRows:
    """All systems at one label budget."""

    labels: str
    rows: list[SystemRow]


def system_rows(results: LanguageResults) -> list[BudgetRows]:
    """List the systems, grouped by label budget."""
    return [
        BudgetRows(labels_text(n), [_system_row(results, system) for system in systems_at(results, n)])
        for n in budgets(results)
    ]


def task_rows(results: LanguageResults) -> list[list[str]]:
    """List accuracy and MRR by task, each a mean over target languages; header first, empty with one task."""
    if len(results.tasks) < 2:
        return []
    figures = [f"{task}, {metric}" for task in results.tasks for metric in ("accuracy", "MRR")]
    header = ["System", "Target labels", *figures]
    rows = []
    for n_target in budgets(results):
        for system in systems_at(results, n_target):
            row = [system.title, labels_text(n_target)]
            for task in results.tasks:
                cells = [c for c in system.cells if c.task == task and c.lang in results.languages]
                row.append(share_text(_mean([cell.accuracy.value for cell in cells])))
                row.append(decimal_text(_mean([cell.mrr.value for cell in cells])))
            rows.append(row)
    return [header, *rows]


def seed_rows(results: LanguageResults) -> list[list[str]]:
    """List macro accuracy and MRR of single seeds, header first; empty if no system has several."""
    rows = []
    for system in results.systems:
        cells = [cell for cell in system.cells if cell.lang in results.languages]
        seeds = sorted({seed.seed for cell in cells for seed in cell.seeds})
        for number in seeds if len(seeds) > 1 else []:
            by_language: dict[str, list[tuple[float, float]]] = {}
            for cell in cells:
                found = [(seed.accuracy, seed.mrr) for seed in cell.seeds if seed.seed == number]
                by_language.setdefault(cell.lang, []).extend(found)
            accuracy, mrr = (
                _mean([sum(pair[place] for pair in pairs) / len(pairs) for pairs in by_language.values() if pairs])
                for place in (0, 1)
            )
            rows.append(
                [system.title, labels_text(system.n_target), str(number), share_text(accuracy), decimal_text(mrr)]
            )
    return [["System", "Target labels", "Seed", "Macro accuracy", "Macro MRR"], *rows] if rows else []


def official_rows(results: LanguageResults) -> list[list[str]]:
    """List the figures that single tasks have besides, language by language, header first; empty without any.

    nDCG of web pages, and micro F1 of the spans that are asked about.
    """
    languages = [results.source_language, *results.languages]
    figures: dict[str, Callable[[Cell], Interval | None]] = {"nDCG": lambda c: c.ndcg, "span F1": lambda c: c.span_f1}
    rows = []
    for task, (figure, of) in product(results.tasks, figures.items()):
        for n_target, system in ((n, s) for n in budgets(results) for s in systems_at(results, n)):
            found = {cell.lang: of(cell) for cell in system.cells if cell.task == task}
            if any(found.values()):
                targets = [interval.value for lang in results.languages if (interval := found.get(lang))]
                row = [f"{task}, {figure}", system.title, labels_text(n_target), decimal_text(_mean(targets))]
                rows.append([*row, *(_decimal_range(found.get(lang)) for lang in languages)])
    header = ["Task", "System", "Target labels", "Mean of target languages"]
    return [[*header, *(language_name(results, lang) for lang in languages)], *rows] if rows else []


@dataclass(frozen=True)
class EnglishRow:
    """Accuracy on the source language after one stage."""

    title: str
    mark: str
    labels: str
    stage: str
    accuracy: str
    change: str
    alarm: bool


def english_rows(results: LanguageResults) -> list[EnglishRow]:
    """List accuracy on the source language after each stage, in the order of the record."""
    return [
        EnglishRow(
            title=system_title(results, check.system),
            mark=look_of(check.system).mark,
            labels=labels_text(check.n_target),
            stage=check.stage,
            accuracy=share_text(check.accuracy),
            change=points_text(check.change),
            alarm=check.alarm,
        )
        for check in results.english
    ]


@dataclass(frozen=True)
class GateRow:
    """What the confidence gate let through in one language."""

    name: str
    share: str
    percent: float
    """Length of its bar, 0 to 100."""


def gate_rows(results: LanguageResults) -> list[GateRow]:
    """List the share of stage-2 records that the gate kept, the smallest first."""
    return [
        GateRow(language_name(results, lang), share_text(share), round(min(max(share, 0.0), 1.0) * 100, 1))
        for lang, share in sorted(results.kept_by_gate.items(), key=lambda item: item[1])
    ]


def cost_rows(results: LanguageResults) -> list[list[str]]:
    """List what each system took over all its stages, header first; empty if nothing was recorded."""
    header = [
        "System",
        "Target labels",
        "Devices",
        "Device hours",
        "English model's part",
        "Tokens",
        "Peak memory",
        "Energy",
        "ML-IPD saves",
    ]
    priced = any(cost.money for cost in results.costs)
    rows = [
        [
            system_title(results, cost.name),
            labels_text(cost.n_target),
            count_text(cost.devices),
            hours_text(cost.device_hours),
            hours_text(cost.english_model_hours),
            count_text(cost.tokens),
            bytes_text(cost.peak_memory_bytes),
            energy_text(cost.energy_kwh),
            saving_text(cost.saving),
            *([_money_text(cost)] if priced else []),
        ]
        for cost in results.costs
    ]
    return [[*header, *(["Money"] if priced else [])], *rows] if rows else []


def _system_row(results: LanguageResults, system: LanguageSystem) -> SystemRow:
    cost = _cost_of(results, system)
    return SystemRow(
        title=system.title,
        mark=look_of(system.name).mark,
        focus=system.name == "ml_ipd",
        accuracy=share_text(system.macro_accuracy.value),
        accuracy_range=bare_range(system.macro_accuracy),
        mrr=decimal_text(system.macro_mrr.value),
        # Written like nats: three decimals and no unit.
        mrr_range=bare_range(system.macro_mrr, unit="nats"),
        high=share_text(system.high_accuracy),
        low=share_text(system.low_accuracy),
        english=share_text(accuracy_in(system, results.source_language)),
        kept=share_text(macro_retention(results, system)),
        device_hours=hours_text(cost.device_hours if cost else None),
        saving=saving_text(cost.saving if cost else None),
    )


def _cost_of(results: LanguageResults, system: LanguageSystem) -> SystemCost | None:
    wanted = (system.name, system.n_target)
    return next((cost for cost in results.costs if (cost.name, cost.n_target) == wanted), None)


def _decimal_range(interval: Interval | None) -> str:
    if interval is None:
        return ABSENT
    # Written like nats: three decimals and no unit.
    return f"{decimal_text(interval.value)} ({bare_range(interval, unit='nats')})"


def _money_text(cost: SystemCost) -> str:
    if cost.money is None:
        return ABSENT
    amount = "< 0.01" if 0 < cost.money.amount < 0.005 else f"{cost.money.amount:,.2f}"
    return f"{amount} {cost.money.currency}"


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
