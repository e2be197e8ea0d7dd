"""The tables of docs/results/anon.md, from the arms of run.py or prompted.py that are done.

python benchmarks/anon/tables.py [--folder runs/prompted]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.accuracy import class_figures, macro_f1
from limbeck.evaluation.significance import bootstrap_p_value, resample
from limbeck.results.read import read_results
from limbeck.results.record import Results, StageCost
from limbeck.results.sections import Adapter, Classes, TeacherLabels
from limbeck.teachers.labels.label_probs import LabelProbs

PAIRS = [
    ("full-soft-progressive", "full-gold"),
    ("full-soft-progressive", "full-soft-random"),
    ("full-hard-progressive", "full-hard-random"),
    ("lora-soft-progressive", "lora-soft-random"),
    ("lora-hard-progressive", "lora-hard-random"),
    ("houlsby-soft-progressive", "houlsby-soft-random"),
    ("houlsby-hard-progressive", "houlsby-hard-random"),
    ("full-soft-progressive", "full-hard-progressive"),
    ("full-soft-random", "full-hard-random"),
    ("lora-soft-progressive", "lora-hard-progressive"),
    ("houlsby-soft-progressive", "houlsby-hard-progressive"),
    ("lora-soft-progressive", "full-soft-progressive"),
    ("qlora-soft-progressive", "lora-soft-progressive"),
    ("houlsby-soft-progressive", "full-soft-progressive"),
    ("lora-soft-random-more", "lora-soft-random"),
    ("lora-soft-random-more", "full-gold"),
    ("lora-soft-progressive", "untrained"),
    ("tuned", "default"),
    ("default", "gold"),
    ("default", "untrained"),
]
"""The differences that are asked for: those of run.py, then those of prompted.py."""


def table(rows: list[list[str]]) -> str:
    """Lay out rows, header first, as Markdown."""
    head, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
    return "\n".join(lines)


def quality(done: dict[str, Results]) -> str:
    """Accuracy, macro F1 and agreement of every arm; the teachers' and the untrained student's first."""
    systems = {_teacher_of(arm, done): (results, "teacher") for arm, results in done.items()}
    systems |= {"untrained": (next(iter(done.values())), "student_init")}
    systems |= {arm: (results, "distilled") for arm, results in done.items()}
    rows = [["", "accuracy", "macro F1", "accuracy of seeds", "agreement with its teacher", "calibration error"]]
    for name, (results, system) in systems.items():
        accuracy, macro_f1, agreement, error = (
            results.figure(system, metric) for metric in ("accuracy", "macro_f1", "agreement", "ece")
        )
        assert accuracy is not None
        assert macro_f1 is not None
        seeds = ", ".join(f"{100 * value:.1f}" for value in accuracy.seeds.values())
        agreed = f"{100 * agreement.value:.1f}" if agreement else "–"
        gap = f"{100 * (error.value if error else 0):.1f}"
        rows.append([name, _interval(accuracy.interval), _interval(macro_f1.interval), seeds, agreed, gap])
    return table(rows)


def classes(done: dict[str, Results], folder: Path) -> str:
    """F1 of each class, mean over seeds."""
    results = next(iter(done.values()))
    gold = _gold(results, folder)
    labels = _labels(results)
    rows = [["F1", *labels]]
    for name, predicted in _all_predictions(done, folder).items():
        figures = np.mean([class_figures(gold, one, len(labels))["f1"] for one in predicted], axis=0)
        rows.append([name, *(f"{100 * figure:.1f}" for figure in figures)])
    return table(rows)


def costs(done: dict[str, Results]) -> str:
    """What is trained, and what that takes: gradients and optimiser state counted, the process's peak measured."""
    head = ["", "trained parameters", "share", "gradients", "optimiser state", "peak of the process", "seconds a seed"]
    rows = [head]
    for arm, results in done.items():
        stages = [cost for cost in results.costs if cost.system == "distilled"]
        speed = results.speed("distilled")
        assert speed is not None
        adapter = results.section(Adapter)
        trained = adapter.trainable_parameters if adapter else speed.parameters
        whole = adapter.parameters if adapter else speed.parameters
        rows.append([arm, f"{trained:,}", f"{100 * trained / whole:.2f} %", *_memory(stages)])
    return table(rows)


def comparisons(done: dict[str, Results], folder: Path) -> str:
    """Paired bootstrap over held-out rows, of the mean over seeds."""
    gold = _gold(next(iter(done.values())), folder)
    predicted = _all_predictions(done, folder)
    pairs = [*((arm, _teacher_of(arm, done)) for arm in done), *PAIRS]
    rows = [["", "accuracy, points", "95 % interval", "p", "macro F1, points", "95 % interval", "p"]]
    for first, second in pairs:
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


def _labels(results: Results) -> list[str]:
    classes = results.section(Classes)
    assert classes is not None
    return classes.labels


def _teacher_labels(results: Results) -> TeacherLabels:
    labels = results.section(TeacherLabels)
    assert labels is not None
    return labels


def _interval(interval: object) -> str:
    value, low, high = (100 * getattr(interval, name) for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def _teacher_of(arm: str, done: dict[str, Results]) -> str:
    """Name an arm's teacher: one that several arms share has the name of the first, a single one needs none."""
    sources = {name: _teacher_labels(results).source for name, results in done.items()}
    first = next(name for name, source in sources.items() if source == sources[arm])
    return "teacher" if len(set(sources.values())) == 1 else f"teacher, {first}"


def _all_predictions(done: dict[str, Results], folder: Path) -> dict[str, list[NDArray[np.int64]]]:
    """Return what every system says of the held-out rows: an array for each seed."""
    predicted = {"untrained": _predictions(folder / next(iter(done)), "student_init")}
    for arm, results in done.items():
        predicted[_teacher_of(arm, done)] = [_teacher_answers(results, folder, arm)]
    return predicted | {arm: _predictions(folder / arm, "distilled") for arm in done}


def _teacher_answers(results: Results, folder: Path, arm: str) -> NDArray[np.int64]:
    if _teacher_labels(results).route == "column":
        return np.array([_labels(results).index(row["teacher_label"]) for row in _test_rows(folder)])
    return LabelProbs.load(folder / arm / "teacher_labels" / "test").probs_NC.argmax(axis=-1)


def _test_rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]


def _gold(results: Results, folder: Path) -> NDArray[np.int64]:
    return np.array([_labels(results).index(row["label"]) for row in _test_rows(folder)])


def _predictions(run: Path, system: str) -> list[NDArray[np.int64]]:
    files = sorted((run / "predictions").glob(f"{system}-seed*.npy"))
    return [np.load(file).argmax(axis=-1) for file in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/anon"), help="where the arms are")
    folder = parser.parse_args().folder
    done = {file.parent.name: read_results(file) for file in sorted(folder.glob("*/results.json"))}
    for text in (quality(done), classes(done, folder), costs(done), comparisons(done, folder)):
        print(text + "\n")


if __name__ == "__main__":
    main()
