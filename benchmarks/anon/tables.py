"""The tables of docs/results/anon.md, from the arms of run.py that are done.

python benchmarks/anon/tables.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.accuracy import macro_f1
from limbeck.evaluation.significance import bootstrap_p_value, resample
from limbeck.report.read import read_results
from limbeck.results import Results, StageCost, System

FOLDER = Path("runs/anon")
PAIRS = [
    ("full-soft-progressive", "teacher"),
    ("full-gold", "teacher"),
    ("full-soft-progressive", "full-gold"),
    ("full-soft-progressive", "full-soft-random"),
    ("full-hard-progressive", "full-hard-random"),
    ("lora-soft-progressive", "lora-soft-random"),
    ("full-soft-progressive", "full-hard-progressive"),
    ("full-soft-random", "full-hard-random"),
    ("lora-soft-progressive", "full-soft-progressive"),
    ("houlsby-soft-progressive", "full-soft-progressive"),
    ("lora-soft-progressive", "untrained"),
]


def table(rows: list[list[str]]) -> str:
    """Lay out rows, header first, as Markdown."""
    head, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
    return "\n".join(lines)


def quality(done: dict[str, Results]) -> str:
    """Accuracy, macro F1 and agreement of every arm; the teacher's and the untrained student's first."""
    first = next(iter(done.values()))
    systems = {
        "GPT-4o's labels": _system(first, "teacher"),
        "plain student, untrained": _system(first, "student_before"),
    }
    systems |= {arm: _system(results, "distilled") for arm, results in done.items()}
    rows = [["", "accuracy", "macro F1", "accuracy of seeds", "agreement with GPT-4o", "calibration error"]]
    for name, system in systems.items():
        seeds = ", ".join(f"{100 * (seed.accuracy or 0):.1f}" for seed in system.seeds)
        agreement = f"{100 * system.agreement.value:.1f}" if system.agreement else "–"
        error = f"{100 * (system.expected_calibration_error or 0):.1f}"
        rows.append([name, _interval(system.accuracy), _interval(system.macro_f1), seeds, agreement, error])
    return table(rows)


def costs(done: dict[str, Results]) -> str:
    """What is trained, and what that takes: gradients and optimiser state counted, the process's peak measured."""
    head = ["", "trained parameters", "share", "gradients", "optimiser state", "peak of the process", "seconds a seed"]
    rows = [head]
    for arm, results in done.items():
        stages = [cost for cost in results.costs if cost.system == "distilled"]
        speed = _system(results, "distilled").speed
        assert speed is not None
        adapter = results.adapter
        trained = adapter.trainable_parameters if adapter else speed.parameters
        whole = adapter.parameters if adapter else speed.parameters
        rows.append([arm, f"{trained:,}", f"{100 * trained / whole:.2f} %", *_memory(stages)])
    return table(rows)


def comparisons(done: dict[str, Results]) -> str:
    """Paired bootstrap over held-out rows, of the mean over seeds."""
    gold = _gold(next(iter(done.values())))
    predicted = {arm: _predictions(arm, "distilled") for arm in done}
    predicted["teacher"] = _teacher(next(iter(done.values())))
    predicted["untrained"] = _predictions(next(iter(done)), "student_before")
    rows = [["", "accuracy, points", "95 % interval", "p", "macro F1, points", "95 % interval", "p"]]
    for first, second in PAIRS:
        if first in predicted and second in predicted:
            cells = [f"{first} − {second}"]
            for metric in ("accuracy", "macro_f1"):
                cells += _difference(metric, gold, predicted[first], predicted[second])
            rows.append(cells)
    return table(rows)


def _difference(
    metric: str, gold: NDArray[np.int64], first: list[NDArray[np.int64]], second: list[NDArray[np.int64]]
) -> list[str]:
    def figure(predicted: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if metric == "accuracy":
            return (predicted == gold)[rows].mean(axis=-1)
        return macro_f1(gold[rows], predicted[rows], int(gold.max()) + 1)

    def difference(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        means = [np.mean([figure(predicted, rows) for predicted in side], axis=0) for side in (first, second)]
        return np.asarray(means[0] - means[1])

    draws = resample(difference, len(gold))
    low, high = np.quantile(draws, [0.025, 0.975])
    value = float(difference(np.arange(len(gold))))
    return [f"{100 * value:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}", f"{bootstrap_p_value(draws):.3f}"]


def _memory(stages: list[StageCost]) -> list[str]:
    gradients, optimiser = stages[0].gradient_bytes or 0, stages[0].optimiser_bytes or 0
    peak, seconds = stages[0].peak_memory_bytes, np.mean([stage.seconds for stage in stages])
    return [f"{gradients / 1e6:.1f} MB", f"{optimiser / 1e6:.1f} MB", f"{peak / 1e6:.0f} MB", f"{seconds:.0f}"]


def _system(results: Results, name: str) -> System:
    return next(system for system in results.systems if system.name == name)


def _interval(interval: object) -> str:
    value, low, high = (100 * getattr(interval, name) for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def _test_rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / "test.jsonl").read_text(encoding="utf-8").splitlines()]


def _gold(results: Results) -> NDArray[np.int64]:
    return np.array([results.labels.index(row["label"]) for row in _test_rows()])


def _teacher(results: Results) -> list[NDArray[np.int64]]:
    return [np.array([results.labels.index(row["teacher_label"]) for row in _test_rows()])]


def _predictions(arm: str, system: str) -> list[NDArray[np.int64]]:
    files = sorted((FOLDER / arm / "predictions").glob(f"{system}-seed*.npy"))
    return [np.load(file).argmax(axis=-1) for file in files]


def main() -> None:
    """Print the three tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    found = sorted(FOLDER.glob("*/results.json"))
    done = {file.parent.name: read_results(file) for file in found}
    only = {arm: results for arm, results in done.items() if isinstance(results, Results)}
    for text in (quality(only), costs(only), comparisons(only)):
        print(text + "\n")


if __name__ == "__main__":
    main()
