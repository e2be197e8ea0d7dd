"""Compare the methods of run.py with each other, and print the tables of docs/results/generation.md.

    python benchmarks/generation/tables.py RUNS [--figure FILE.svg]

Differences to `sft` are paired by held-out row and averaged over seeds: intervals resample rows (bootstrap), the
t-test is over seeds, with Holm's correction over the methods.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from limbeck.evaluation.generation.rouge import rouge_l
from limbeck.evaluation.significance import bootstrap_p_value, holm, paired_t_test, resample
from limbeck.generation_results import GenerationResults, GenerationSystem
from limbeck.report.read import read_any_results

FIGURES = {"nll": "loss, nats", "kl": "KL to teacher, nats", "agreed": "agreement", "rouge": "ROUGE-L"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--figure", type=Path, help="draw KL to the teacher against ROUGE-L")
    args = parser.parse_args()
    results = {}
    for folder in sorted(args.runs.iterdir()):
        if (folder / "results.json").exists():
            found = read_any_results(folder)
            assert isinstance(found, GenerationResults)
            results[folder.name] = found
    print("\n".join(systems_table(results)))
    rows = {name: per_row(args.runs / name, one) for name, one in results.items()}
    print("\n" + "\n".join(differences_table(rows)))
    if args.figure:
        draw(results, args.figure)


def systems_table(results: dict[str, GenerationResults]) -> list[str]:
    any_run = next(iter(results.values()))
    lines = [
        "| system | perplexity | KL, nats | agreement | ROUGE-L | repeated 4-grams | cut off | min a seed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    by_name = {system.name: system for system in any_run.figures.systems}
    lines += [system_line(name, by_name[name], None) for name in ("teacher", "student_before")]
    for name, one in results.items():
        (distilled,) = (s for s in one.figures.systems if s.name == "distilled")
        seconds = sum(cost.seconds for cost in one.costs if cost.system == "distilled") / len(one.seeds)
        lines.append(system_line(name, distilled, seconds / 60))
    return lines


def system_line(name: str, system: GenerationSystem, minutes: float | None) -> str:
    def cell(interval: Any, form: str) -> str:
        if interval is None:
            return ""
        return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"

    written = system.written
    cells = [
        cell(system.perplexity, ".1f"),
        cell(system.kl_to_teacher_nats, ".3f"),
        cell(system.agreement, ".1%"),
        cell(system.rouge_l, ".1%"),
        f"{written.repeated_4_grams.value:.1%}" if written else "",
        f"{written.cut_off.value:.0%}" if written and written.cut_off else "",
        "" if minutes is None else f"{minutes:.1f}",
    ]
    return f"| `{name}` | {' | '.join(cells)} |"


def per_row(folder: Path, results: GenerationResults) -> dict[str, np.ndarray]:
    """Sums and weights of each held-out row, ``[2, seeds, rows]`` for each figure."""
    references = [json.loads(line)["output"] for line in open_test(folder).split("\n") if line]
    found: dict[str, list[list[np.ndarray]]] = {name: [[], []] for name in FIGURES}
    for seed in results.seeds:
        values = json.loads((folder / "predictions" / f"distilled-seed{seed}.json").read_text(encoding="utf-8"))
        tokens = np.asarray(values["tokens_N"], dtype=float)
        for name, key in (("nll", "nll_sum_N"), ("kl", "kl_sum_N"), ("agreed", "agreed_N")):
            found[name][0].append(np.asarray(values[key], dtype=float))
            found[name][1].append(tokens)
        texts = values["texts"]  # None where a row was not answered
        scores = [0.0 if text is None else rouge_l(text, gold) for text, gold in zip(texts, references, strict=True)]
        found["rouge"][0].append(np.asarray(scores))
        found["rouge"][1].append(np.asarray([float(text is not None) for text in texts]))
    return {name: np.asarray(parts) for name, parts in found.items()}


def open_test(folder: Path) -> str:
    run = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    return Path(run["data"]["test"]).read_text(encoding="utf-8")


def differences_table(rows: dict[str, dict[str, np.ndarray]]) -> list[str]:
    lines = ["| method less `sft` | figure | difference | 95 % | p (rows) | p (t, seeds) | p (Holm) |",
             "|---|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    others = [name for name in rows if name != "sft"]
    for figure, title in FIGURES.items():
        by_seed = {name: means(rows[name][figure]) - means(rows["sft"][figure]) for name in others}
        tests = {name: paired_t_test(differences.tolist()) for name, differences in by_seed.items()}
        known = {name: p for name, p in tests.items() if p is not None}
        corrected = dict(zip(known, holm(list(known.values())), strict=True))
        for name in others:
            first, second = rows[name][figure], rows["sft"][figure]

            def drawn(picked: np.ndarray, one: np.ndarray = first, two: np.ndarray = second) -> np.ndarray:
                sums = [part[..., picked].sum(axis=-1) for part in (one, two)]
                return np.asarray((sums[0][0] / sums[0][1] - sums[1][0] / sums[1][1]).mean(axis=0))

            draws = resample(drawn, first.shape[-1])
            low, high = np.quantile(draws, [0.025, 0.975])
            cells = [f"{by_seed[name].mean():+.4f}", f"{low:+.4f} to {high:+.4f}", f"{bootstrap_p_value(draws):.2g}"]
            cells += [f"{p:.2g}" if (p := table.get(name)) is not None else "" for table in (tests, corrected)]
            lines.append(f"| `{name}` | {title} | {' | '.join(cells)} |")
    return lines


def means(sums_and_weights: np.ndarray) -> np.ndarray:
    sums, weights = sums_and_weights.sum(axis=-1)
    return np.asarray(sums / weights)


def draw(results: dict[str, GenerationResults], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for name, one in results.items():
        (system,) = (s for s in one.figures.systems if s.name == "distilled")
        if system.kl_to_teacher_nats and system.rouge_l:
            kl, rouge = system.kl_to_teacher_nats, system.rouge_l
            axes.errorbar(
                kl.value, rouge.value,
                xerr=[[kl.value - kl.low], [kl.high - kl.value]],
                yerr=[[rouge.value - rouge.low], [rouge.high - rouge.value]], fmt="o", capsize=2,
            )  # fmt: skip
            axes.annotate(name, (kl.value, rouge.value), xytext=(5, 4), textcoords="offset points")
    axes.set_xlabel("KL to the teacher, nats a token (less is nearer)")
    axes.set_ylabel("ROUGE-L with the references")
    figure.savefig(path)


if __name__ == "__main__":
    main()
