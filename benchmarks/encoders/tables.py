"""The tables of docs/results/encoders.md, from the figures of run.py.

    python benchmarks/encoders/tables.py docs/results/encoders.jsonl

Differences are paired by held-out row and averaged over seeds: the intervals resample rows, with Holm's correction
over the methods of a table. With three seeds or more there is a t-test over seeds too, corrected in the same way.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.significance import bootstrap_p_value, holm, paired_t_test, resample
from limbeck.formatting import p_value_text

CONTROLS = ("fine_tune", "kd")
WITHOUT_TEST = ("student_init", "tfidf", *CONTROLS)
"""Systems that no question is asked about, but that of `fine_tune` and `kd` is."""

Line = dict[str, Any]


class Difference(NamedTuple):
    """How much better one method is than another."""

    points: float
    low: float
    high: float
    p_rows: float
    p_seeds: float | None


def right(lines: Sequence[Line], method: str) -> NDArray[np.float64]:
    """Return which held-out rows a method gets right, ``[S, N]``, seed by seed; empty if it was not measured."""
    found = sorted((line["seed"], line["right"], line["rows"]) for line in lines if line["method"] == method)
    bits = [np.unpackbits(np.frombuffer(base64.b64decode(packed), dtype=np.uint8))[:n] for _, packed, n in found]
    return np.array(bits, dtype=np.float64)


def difference(first_SN: NDArray[np.float64], second_SN: NDArray[np.float64]) -> Difference:
    """Compare two methods, paired by row, and by seed where both have as many."""
    gain_N = 100 * (first_SN.mean(axis=0) - second_SN.mean(axis=0))
    drawn = resample(lambda index: gain_N[index].mean(axis=-1), len(gain_N))
    low, high = np.percentile(drawn, [2.5, 97.5])
    of_seeds = None
    if len(first_SN) == len(second_SN):
        of_seeds = paired_t_test((first_SN.mean(axis=1) - second_SN.mean(axis=1)).tolist())
    return Difference(float(gain_N.mean()), float(low), float(high), bootstrap_p_value(drawn), of_seeds)


def budget_table(lines: Sequence[Line], budget: str, teacher_N: NDArray[np.float64]) -> str:
    """Return a Markdown table of all methods at one budget.

    Args:
        lines: of one set, teacher and size of student.
        budget: ``steps`` or ``time``.
        teacher_N: which held-out rows the teacher gets right.
    """
    some = [line for line in lines if line["budget"] == budget or line["method"] == "kd"]
    methods = list(dict.fromkeys(line["method"] for line in some))
    tested = [name for name in methods if name not in WITHOUT_TEST]
    head = ["method", "accuracy, % (seeds)", "of the teacher's, %"]
    head += [f"points to {name} (95 %)" for name in CONTROLS] + [f"p to {name}: rows, seeds" for name in CONTROLS]
    rows = [[*head, "steps", "CPU seconds"]]
    told = {name: _against(some, tested, name) for name in CONTROLS}
    for name in methods:
        of_method = [line for line in some if line["method"] == name]
        right_SN = right(some, name)
        each = ", ".join(f"{100 * one:.1f}" for one in right_SN.mean(axis=1))
        mean = float(right_SN.mean())
        cells = [told[control].get(name, ("–", "–")) for control in CONTROLS]
        spent = [f"{np.mean([line[what] for line in of_method]):.0f}" for what in ("steps", "cpu_seconds")]
        kept = f"{100 * mean / teacher_N.mean():.1f}"
        rows.append([f"`{name}`", f"{100 * mean:.1f} ({each})", kept, *(c[0] for c in cells), *(c[1] for c in cells)])
        rows[-1] += spent
    return _table(rows)


def _against(lines: Sequence[Line], tested: list[str], control: str) -> dict[str, tuple[str, str]]:
    """Return each method's difference to a control in words, and its p-values after Holm's correction."""
    of_control = right(lines, control)
    if not len(of_control):
        return {}
    names = [*tested, *(["kd"] if control == "fine_tune" else [])]
    found = [difference(right(lines, name), of_control) for name in names]
    by_rows, by_seeds = holm([one.p_rows for one in found]), holm([one.p_seeds for one in found])
    words = {}
    for name, one, p_rows, p_seeds in zip(names, found, by_rows, by_seeds, strict=True):
        p_values = ", ".join("–" if p is None else p_value_text(p).removeprefix("p = ") for p in (p_rows, p_seeds))
        words[name] = f"{one.points:+.1f} ({one.low:+.1f} to {one.high:+.1f})", p_values
    return words


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    lines = [json.loads(line) for line in parser.parse_args().figures.read_text("utf-8").splitlines()]
    teachers = {
        (one["set"], one["teacher"]): right([one], "teacher")[0] for one in lines if one["method"] == "teacher"
    }
    sizes = [(one["set"], one["teacher"], one["student"]) for one in lines if one["method"] != "teacher"]
    for name, teacher, size in dict.fromkeys(sizes):
        teacher_N = teachers[name, teacher]
        some = [one for one in lines if (one["set"], one["teacher"], one["student"]) == (name, teacher, size)]
        print(f"## {name}, {size} the depth of {teacher}\n\nTeacher: {100 * teacher_N.mean():.1f} %.\n")
        for budget, title in (("steps", "Equal steps"), ("time", "Equal time")):
            if any(one["budget"] == budget for one in some):
                print(f"### {title}\n\n{budget_table(some, budget, teacher_N)}\n")


if __name__ == "__main__":
    main()
