"""Print the tables of docs/results/ml_ipd.md from a run's results.json.

python benchmarks/ml_ipd/tables.py RUNS/topics
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

from limbeck.results.figures import Comparison, Slice
from limbeck.results.read import read_results
from limbeck.results.record import Results, System
from limbeck.results.sections import Gate, Languages, SystemCosts

Kind = TypeVar("Kind")


def systems_table(results: Results) -> list[str]:
    costs = {(cost.system, cost.budget): cost for cost in section(results, SystemCosts).systems}
    source = section(results, Languages).source
    lines = [
        "| labels | system | accuracy | 95 % | MRR | high | low | English | CPU minutes | tokens | saving |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for system, budget in results.table([results.metric("accuracy")]):
        if budget is None:
            continue
        cost, accuracy = costs[system.name, budget], results.figure(system.name, "accuracy", budget=budget)
        assert accuracy is not None
        high, low, english = (
            _accuracy(results, system, slice, budget)
            for slice in ({"resource": "high"}, {"resource": "low"}, {"lang": source})
        )
        saving = "" if cost.saving is None else f"{cost.saving:.0%}"
        lines.append(
            f"| {budget} | {system.title} | {accuracy.value:.1%} | {accuracy.low:.1%} to {accuracy.high:.1%} "
            f"| {_value(results, system, 'mrr', {}, budget):.3f} | {high} | {low} "
            f"| {english} | {60 * cost.device_hours:.1f} | {cost.tokens / 1e6:.2f} M "
            f"| {saving} |"
        )
    return lines


def comparisons_table(results: Results, metric: str) -> list[str]:
    lines = [
        "| labels | ML-IPD less | difference | 95 % | p (records) | t | df | p (t-test) | p (Holm) | high | low |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for found in results.comparisons:
        if found.metric == metric and not found.slice:
            lines.append(f"| {found.budget} | {results.title(found.second)} | {_comparison_cells(results, found)} |")
    return lines


def _comparison_cells(results: Results, found: Comparison) -> str:
    pair = (found.first, found.second, found.metric)
    parts = [results.comparison(*pair, slice={"resource": kind}, budget=found.budget) for kind in ("high", "low")]
    points = [found.value, found.low, found.high, *(part.value if part else 0 for part in parts)]
    value, low, high, rich, poor = (f"{100 * (x or 0):+.1f}" for x in points)
    test, holm = found.test("t"), found.p_value("holm")
    tested = (
        f"{test.details['t']:.2f} | {test.details['degrees_of_freedom']:.0f} | {_p_value(test.p_value)} "
        f"| {_p_value(holm)}"
        if test is not None and holm is not None
        else "not defined | | |"
    )
    return f"{value} | {low} to {high} | {_p_value(found.p_value() or 0)} | {tested} | {rich} | {poor}"


def _p_value(p_value: float) -> str:
    """Two digits; none of 10,000 resamples is less than any p-value they could show, and not 0."""
    return f"{p_value:.2g}" if p_value > 0 else "< 0.0001"


def languages_table(results: Results, budget: int) -> list[str]:
    (teacher, *_), (ours, *_) = results.roles("teacher"), results.roles("main")
    rows = [(s, n) for s, n in results.table([results.metric("accuracy")]) if n == budget or (s, n) == (teacher, 0)]
    shown = [(system, n) for system, n in rows if n is not None]
    languages = section(results, Languages)
    heads = [*(system.title for system, _ in shown), "MRR of ML-IPD", "ML-IPD less ML-DFT", "95 %", "p (Holm)"]
    lines = [f"| language | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    for lang in languages_with_records(results):
        figures = [_accuracy(results, system, {"lang": lang}, n) for system, n in shown]
        row = results.comparison(ours.name, "ml_dft", "accuracy", slice={"lang": lang}, budget=budget)
        compared = "| | |"
        if row is not None:
            low, high, p_value = row.low or 0, row.high or 0, row.p_value("holm")
            holm = "" if p_value is None else _p_value(p_value)
            compared = f"{100 * row.value:+.1f} | {100 * low:+.1f} to {100 * high:+.1f} | {holm} |"
        name = f"{languages.names[lang]} ({languages.resources[lang]})"
        mrr = _value(results, ours, "mrr", {"lang": lang}, budget)
        lines.append(f"| {name} | {' | '.join(figures)} | {mrr:.3f} | {compared}")
    return lines


def languages_with_records(results: Results) -> list[str]:
    """The source language, where it was tested (in translation it is not), and all targets."""
    languages = section(results, Languages)
    return [lang for lang in (languages.source, *languages.targets) if lang in languages.resources]


def section(results: Results, kind: type[Kind]) -> Kind:
    found = results.section(kind)
    assert found is not None
    return found


def _accuracy(results: Results, system: System, slice: Slice, budget: int) -> str:
    figure = results.figure(system.name, "accuracy", slice=slice, budget=budget)
    return "" if figure is None else f"{figure.value:.1%}"


def _value(results: Results, system: System, metric: str, slice: Slice, budget: int) -> float:
    figure = results.figure(system.name, metric, slice=slice, budget=budget)
    assert figure is not None
    return figure.value


def main() -> None:
    results = read_results(Path(sys.argv[1]))
    (ours,) = results.roles("main")
    parts = [systems_table(results), comparisons_table(results, "accuracy"), comparisons_table(results, "mrr")]
    budgets = [n for n in results.budgets() if results.figure(ours.name, "accuracy", budget=n)]
    parts += [languages_table(results, n) for n in budgets]
    print("\n\n".join("\n".join(part) for part in parts))
    print("\nverdict:", *results.verdict, sep="\n- ")
    print("\nkept by the gate:", {lang: round(share, 3) for lang, share in section(results, Gate).kept.items()})


if __name__ == "__main__":
    main()
