"""Compare the methods of run.py with each other, and print the tables of docs/results/generation.md.

    python benchmarks/generation/tables.py RUNS [--figure FILE.svg]

Differences to `sft` are paired by held-out row and averaged over seeds: intervals resample rows (bootstrap), the
t-test is over seeds, with Holm's correction over the methods.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from limbeck.evaluation.generation.rouge import rouge_l
from limbeck.evaluation.significance import bootstrap_p_value, holm, paired_t_test, resample
from limbeck.results.figures import Interval
from limbeck.results.read import read_results
from limbeck.results.record import Results

FIGURES = {"nll": "loss, nats", "kl": "KL to teacher, nats", "agreed": "agreement", "rouge": "ROUGE-L"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--figure", type=Path, help="draw KL to the teacher against ROUGE-L")
    args = parser.parse_args()
    results = {}
    for folder in sorted(args.runs.iterdir()):
        if (folder / "results.json").exists():
            results[folder.name] = read_results(folder)
    print("\n".join(systems_table(results)))
    rows = {name: per_row(args.runs / name, one) for name, one in results.items()}
    print("\n" + "\n".join(differences_table(rows)))
    if args.figure:
        draw(results, args.figure)


def systems_table(results: dict[str, Results]) -> list[str]:
    any_run = next(iter(results.values()))
    lines = [
        "| system | perplexity | KL, nats | agreement | ROUGE-L | repeated 4-grams | cut off | min a seed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [system_line(name, any_run, name, None) for name in ("teacher", "student_init")]
    for name, one in results.items():
        seconds = sum(cost.seconds for cost in one.costs if cost.system == "distilled") / len(one.run.seeds)
        lines.append(system_line(name, one, "distilled", seconds / 60))
    return lines


def system_line(name: str, results: Results, system: str, minutes: float | None) -> str:
    def cell(metric: str, form: str) -> str:
        found = interval(results, system, metric)
        return "" if found is None else f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"

    def bare(metric: str, form: str) -> str:
        found = interval(results, system, metric)
        return "" if found is None else f"{found.value:{form}}"

    cells = [
        cell("perplexity", ".1f"),
        cell("kl", ".3f"),
        cell("agreement", ".1%"),
        cell("rouge_l", ".1%"),
        bare("repeated_4_grams", ".1%"),
        bare("cut_off", ".0%"),
        "" if minutes is None else f"{minutes:.1f}",
    ]
    return f"| `{name}` | {' | '.join(cells)} |"


def interval(results: Results, system: str, metric: str) -> Interval | None:
    figure = results.figure(system, metric)
    return figure.interval if figure else None


def per_row(folder: Path, results: Results) -> dict[str, np.ndarray]:
    """Sums and weights of each held-out row, ``[2, seeds, rows]`` for each figure."""
    references = [json.loads(line)["output"] for line in open_test(folder).split("\n") if line]
    found: dict[str, list[list[np.ndarray]]] = {name: [[], []] for name in FIGURES}
    for seed in results.run.seeds:
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


def draw(results: dict[str, Results], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for name, one in results.items():
        kl, rouge = (interval(one, "distilled", metric) for metric in ("kl", "rouge_l"))
        if kl and rouge:
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
