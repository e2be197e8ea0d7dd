"""The tables of docs/results/few_labels.md, from the figures of run.py.

python benchmarks/few_labels/tables.py docs/results/few_labels.jsonl
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from limbeck.evaluation.significance import bootstrap_p_value, resample
from limbeck.formatting import p_value_text

SYSTEMS = {
    "tfidf": "TF-IDF + logistic regression",
    "frozen_embeddings": "frozen embeddings + logistic regression",
    "fine_tuned": "fine-tuned student, best of four settings",
    "setfit": "SetFit, whole encoder",
    "teacher": "teacher of `auto`",
    "distilled": "distilled student, half the layers",
}
SIMPLE = ("tfidf", "frozen_embeddings")

Line = dict[str, Any]
Draw = tuple[str, int]
"""Set and draw."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows, header first, as Markdown."""
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def by_draw(lines: list[Line], system: str) -> dict[Draw, float]:
    """Return the accuracy of a system in every draw, the mean over its seeds."""
    found: dict[Draw, list[float]] = {}
    for line in lines:
        if line["system"] == system:
            found.setdefault((line["set"], line["draw"]), []).append(line["accuracy"])
    return {draw: float(np.mean(values)) for draw, values in found.items()}


def best_simple(lines: list[Line]) -> dict[Draw, float]:
    """Return the accuracy of the better simple baseline of each draw."""
    first, second = (by_draw(lines, name) for name in SIMPLE)
    return {draw: max(value, second[draw]) for draw, value in first.items()}


def accuracy_table(lines: list[Line]) -> str:
    """Accuracy of each system on each set: the mean over draws, and each draw; CPU seconds."""
    sets = list(dict.fromkeys(line["set"] for line in lines))
    rows = [["accuracy, % (each draw)", *sets, "CPU seconds"]]
    for system, title in SYSTEMS.items():
        found = by_draw(lines, system)
        cells = []
        for name in sets:
            values = [100 * value for (of, _), value in sorted(found.items()) if of == name]
            each = ", ".join(f"{value:.1f}" for value in values)
            cells.append(f"**{np.mean(values):.1f}** ({each})" if values else "–")
        spent = [line["cpu_seconds"] for line in lines if line["system"] == system]
        rows.append([title, *cells, f"{np.mean(spent):.0f}" if spent else "–"])
    return table(rows)


def mean_over_sets(of_sets: Sequence[Sequence[float]]) -> tuple[float, float, float] | None:
    """Return the 95 % interval of the mean of the sets' means, and the p-value of 0.

    The sets are fixed and the draws of each are the sample, so only the spread of draws within each set counts: a gain
    of 30 points on one set and of 3 on another is no doubt about the mean. Welch's t-test, with the degrees of freedom
    of Satterthwaite 1946. ``None`` if a set has a single draw.

    Args:
        of_sets: the gains in the draws of each set.
    """
    if any(len(gains) < 2 for gains in of_sets):
        return None
    parts = np.array([np.var(gains, ddof=1) / len(gains) for gains in of_sets]) / len(of_sets) ** 2
    if not parts.sum():
        return None
    freedom = parts.sum() ** 2 / sum(part**2 / (len(gains) - 1) for part, gains in zip(parts, of_sets, strict=True))
    mean, error = float(np.mean([np.mean(gains) for gains in of_sets])), float(np.sqrt(parts.sum()))
    half = float(stats.t.ppf(0.975, freedom)) * error
    return mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, freedom))


def difference_table(lines: list[Line]) -> str:
    """The distilled student's gains: on each set, and their mean with a test over draws."""
    sets = list(dict.fromkeys(line["set"] for line in lines))
    student = by_draw(lines, "distilled")
    rows = [["points more than", *sets, "mean of the sets", "95 % interval over draws", "p"]]
    others = {"the better simple baseline": best_simple(lines)}
    others |= {SYSTEMS[name]: by_draw(lines, name) for name in ("fine_tuned", "setfit", "teacher")}
    for title, other in others.items():
        gains = {draw: 100 * (student[draw] - value) for draw, value in other.items() if draw in student}
        of_sets = [[gain for (of, _), gain in gains.items() if of == name] for name in sets]
        test = mean_over_sets([values for values in of_sets if values])
        interval, p = ("–", "–") if test is None else (f"{test[0]:+.1f} to {test[1]:+.1f}", p_value_text(test[2]))
        means = [f"{np.mean(values):+.1f}" if values else "–" for values in of_sets]
        whole = float(np.mean([np.mean(values) for values in of_sets if values]))
        rows.append([title, *means, f"{whole:+.1f}", interval, p])
    return table(rows)


def rows_table(lines: list[Line]) -> str:
    """The same gains with a bootstrap over held-out rows, the same rows in all draws: is one of them by chance?

    Of the draws in which both systems were measured.
    """
    rows = [["set", "against", "points", "95 % interval over rows", "p"]]
    for name in dict.fromkeys(line["set"] for line in lines):
        of_set = [line for line in lines if line["set"] == name]
        for other in ("tfidf", "frozen_embeddings", "fine_tuned", "setfit"):
            both = by_draw(of_set, "distilled").keys() & by_draw(of_set, other).keys()
            of_both = [line for line in of_set if (line["set"], line["draw"]) in both]
            student, beaten = (_right(of_both, system) for system in ("distilled", other))
            if beaten is None or student is None:
                continue
            gain_N = 100 * (student - beaten)
            drawn = resample(lambda index, gain_N=gain_N: gain_N[index].mean(axis=-1), len(gain_N))
            low, high = np.percentile(drawn, [2.5, 97.5])
            interval = f"{low:+.1f} to {high:+.1f}"
            rows.append(
                [name, SYSTEMS[other], f"{gain_N.mean():+.1f}", interval, p_value_text(bootstrap_p_value(drawn))]
            )
    return table(rows)


def _right(lines: list[Line], system: str) -> NDArray[np.float64] | None:
    """Return how often each held-out row is right, over draws and seeds."""
    found = [
        np.unpackbits(np.frombuffer(base64.b64decode(line["right"]), dtype=np.uint8))[: line["rows"]].astype(float)
        for line in lines
        if line["system"] == system and line["right"] is not None
    ]
    return np.mean(found, axis=0) if found else None


def kept(lines: list[Line]) -> str:
    """What the student keeps of its teacher's accuracy."""
    student, teacher = by_draw(lines, "distilled"), by_draw(lines, "teacher")
    shares = [100 * student[draw] / teacher[draw] for draw in student if draw in teacher]
    low, high = min(shares), max(shares)
    return (
        f"The student keeps {np.mean(shares):.1f} % of its teacher's accuracy ({low:.1f} to {high:.1f} in the draws)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    lines = [json.loads(line) for line in parser.parse_args().figures.read_text("utf-8").splitlines()]
    for teacher, labels in dict.fromkeys((line["teacher"], line["labels"]) for line in lines):
        some = [line for line in lines if (line["teacher"], line["labels"]) == (teacher, labels)]
        parts = (accuracy_table(some), difference_table(some), kept(some), rows_table(some))
        print(f"## {teacher}, {labels} labels of each class", *parts, sep="\n\n", end="\n\n")


if __name__ == "__main__":
    main()
