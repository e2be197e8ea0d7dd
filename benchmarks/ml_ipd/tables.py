"""Print the tables of docs/results/ml_ipd.md from a run's results.json.

python benchmarks/ml_ipd/tables.py RUNS/topics
"""

from __future__ import annotations

import sys
from pathlib import Path

from limbeck.language_results import LanguageComparison, LanguageResults, LanguageSystem
from limbeck.report.read import read_any_results


def systems_table(results: LanguageResults) -> list[str]:
    costs = {(cost.name, cost.n_target): cost for cost in results.costs}
    lines = [
        "| labels | system | accuracy | 95 % | MRR | high | low | English | CPU minutes | tokens | saving |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for system in sorted(results.systems, key=lambda system: system.n_target):
        cost = costs[system.name, system.n_target]
        accuracy = system.macro_accuracy
        english = [cell.accuracy.value for cell in system.cells if cell.resource == "source"]
        english_text = f"{sum(english) / len(english):.1%}" if english else ""
        saving = "" if cost.saving is None else f"{cost.saving:.0%}"
        lines.append(
            f"| {system.n_target} | {system.title} | {accuracy.value:.1%} | {accuracy.low:.1%} to {accuracy.high:.1%} "
            f"| {system.macro_mrr.value:.3f} | {system.high_accuracy:.1%} | {system.low_accuracy:.1%} "
            f"| {english_text} | {60 * cost.device_hours:.1f} | {cost.tokens / 1e6:.2f} M "
            f"| {saving} |"
        )
    return lines


def comparisons_table(results: LanguageResults, metric: str) -> list[str]:
    titles = {system.name: system.title for system in results.systems}
    lines = [
        "| labels | ML-IPD less | difference | 95 % | p (records) | t | df | p (t-test) | p (Holm) | high | low |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for found in results.comparisons:
        if found.metric == metric:
            lines.append(f"| {found.n_target} | {titles[found.second]} | {_comparison_cells(found)} |")
    return lines


def _comparison_cells(found: LanguageComparison) -> str:
    macro, test = found.macro.difference, found.t_test
    points = [macro.value, macro.low, macro.high, found.high_difference, found.low_difference]
    value, low, high, rich, poor = (f"{100 * (x or 0):+.1f}" for x in points)
    tested = (
        f"{test.t:.2f} | {test.degrees_of_freedom} | {_p_value(test.p_value)} | {_p_value(found.holm_p_value)}"
        if test is not None and found.holm_p_value is not None
        else "not defined | | |"
    )
    return f"{value} | {low} to {high} | {_p_value(found.macro.bootstrap_p_value)} | {tested} | {rich} | {poor}"


def _p_value(p_value: float) -> str:
    """Two digits; none of 10,000 resamples is less than any p-value they could show, and not 0."""
    return f"{p_value:.2g}" if p_value > 0 else "< 0.0001"


def languages_table(results: LanguageResults, n_target: int) -> list[str]:
    shown = [s for s in results.systems if s.n_target == n_target or s.name == "english_model"]
    wanted = ("ml_dft", n_target, "accuracy")
    dft = next((c for c in results.comparisons if (c.second, c.n_target, c.metric) == wanted), None)
    rows = {row.lang: row for row in dft.languages} if dft else {}
    heads = [*(system.title for system in shown), "MRR of ML-IPD", "ML-IPD less ML-DFT", "95 %", "p (Holm)"]
    lines = [f"| language | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    for lang in languages_with_records(results):
        figures = [f"{_cell(system, lang)[0]:.1%}" for system in shown]
        ours = next(system for system in shown if system.name == "ml_ipd")
        row = rows.get(lang)
        compared = "| | |"
        if row is not None:
            d = row.effect.difference
            holm = "" if row.holm_p_value is None else _p_value(row.holm_p_value)
            compared = f"{100 * d.value:+.1f} | {100 * d.low:+.1f} to {100 * d.high:+.1f} | {holm} |"
        name = f"{results.language_names[lang]} ({_cell(ours, lang)[2]})"
        lines.append(f"| {name} | {' | '.join(figures)} | {_cell(ours, lang)[1]:.3f} | {compared}")
    return lines


def languages_with_records(results: LanguageResults) -> list[str]:
    """The source language, where it was tested (in translation it is not), and all targets."""
    tested = {cell.lang for system in results.systems for cell in system.cells}
    return [lang for lang in (results.source_language, *results.languages) if lang in tested]


def _cell(system: LanguageSystem, lang: str) -> tuple[float, float, str]:
    cells = [cell for cell in system.cells if cell.lang == lang]
    accuracy = sum(cell.accuracy.value for cell in cells) / len(cells)
    return accuracy, sum(cell.mrr.value for cell in cells) / len(cells), cells[0].resource


def main() -> None:
    results = read_any_results(Path(sys.argv[1]))
    assert isinstance(results, LanguageResults)
    parts = [systems_table(results), comparisons_table(results, "accuracy"), comparisons_table(results, "mrr")]
    parts += [languages_table(results, n) for n in sorted({s.n_target for s in results.systems if s.name == "ml_ipd"})]
    print("\n\n".join("\n".join(part) for part in parts))
    print("\nverdict:", *results.verdict, sep="\n- ")
    print("\nkept by the gate:", {lang: round(share, 3) for lang, share in results.kept_by_gate.items()})


if __name__ == "__main__":
    main()
