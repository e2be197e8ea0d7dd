"""The tables of a left-out event in docs/results/anon.md, from the answers that events.py kept.

    python benchmarks/anon/events_tables.py HUMAID CRISISLEX docs/results/anon_events.jsonl [--rows 20000]

The gold labels and GPT-4o's are read from the data sets.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from events import EVENTS, FOLDER, LABELS, PARTS, ROWS, by_size, read_crisislex, read_humaid, split
from numpy.typing import NDArray
from tables import table

from limbeck.evaluation.accuracy import class_figures, macro_f1
from limbeck.evaluation.significance import bootstrap_p_value, mcnemar, resample
from limbeck.results.read import read_results
from limbeck.results.sections import Ensemble

TEACHER, MAIN = "GPT-4o's labels", "student of the ensemble"
STUDENTS = {"ensemble": MAIN, "labels": "student of GPT-4o's labels", "gold": "student of gold labels"}
SIMPLE = {"tfidf": "TF-IDF", "frozen_embeddings": "frozen embeddings"}
PAIRS = [
    (MAIN, TEACHER),
    (MAIN, SIMPLE["tfidf"]),
    (MAIN, SIMPLE["frozen_embeddings"]),
    (MAIN, STUDENTS["labels"]),
    (STUDENTS["labels"], SIMPLE["tfidf"]),
    (STUDENTS["gold"], TEACHER),
    (STUDENTS["gold"], MAIN),
]

Row = dict[str, Any]
Answers = NDArray[np.int64]
Metric = Callable[[Answers, Answers], NDArray[np.float64]]
"""A figure of gold and predicted labels: ``[..., N], [..., N] -> [...]``."""


class Case(NamedTuple):
    """Held-out rows of one event's runs, and what every system says of them."""

    rows: str
    """Which rows these are: cases with the same ones have the same name here."""
    gold: Answers
    said: dict[str, Answers]


def accuracy(gold: Answers, predicted: Answers) -> NDArray[np.float64]:
    return np.asarray((gold == predicted).mean(axis=-1))


def mean_f1(gold: Answers, predicted: Answers) -> NDArray[np.float64]:
    return macro_f1(gold, predicted, len(LABELS))


def draws_of(cases: list[Case], metric: Metric, system: str, less: str | None = None) -> NDArray[np.float64]:
    """Resample the mean over cases of a system's figure, or of its difference to another's.

    Rows are drawn within each event, and the same ones for cases with the same rows.
    """
    sets = sorted({case.rows for case in cases})
    parts = [
        resample(
            lambda rows, c=case: _figure(c, metric, system, less, rows), len(case.gold), seed=sets.index(case.rows)
        )
        for case in cases
    ]
    return np.mean(parts, axis=0)


def _figure(case: Case, metric: Metric, system: str, less: str | None, rows: Answers) -> NDArray[np.float64]:
    gold = case.gold[rows]
    value = metric(gold, case.said[system][rows])
    return value if less is None else value - metric(gold, case.said[less][rows])


def _value(cases: list[Case], metric: Metric, system: str, less: str | None = None) -> float:
    return float(np.mean([_figure(case, metric, system, less, np.arange(len(case.gold))) for case in cases]))


def quality(cases: dict[str, Case]) -> str:
    """Accuracy of each system in each event's runs, and their means with intervals."""
    names = [name for name in (TEACHER, *STUDENTS.values(), *SIMPLE.values()) if _with(cases, name)]
    rows = [["", *cases, "mean accuracy", "mean macro F1"]]
    for name in names:
        there = _with(cases, name)
        cells = [
            f"{100 * _value([case], accuracy, name):.1f}" if name in case.said else "–" for case in cases.values()
        ]
        rows.append([name, *cells, *(_interval(there, metric, name) for metric in (accuracy, mean_f1))])
    return table(rows)


def comparisons(cases: dict[str, Case]) -> str:
    """Paired differences, of the mean over events."""
    rows = [["", "events", "accuracy, points", "95 % interval", "p", "McNemar", "macro F1, points", "95 % interval"]]
    for first, second in PAIRS:
        there = [case for case in cases.values() if {first, second} <= set(case.said)]
        if there:
            values = [_value(there, metric, first, second) for metric in (accuracy, mean_f1)]
            draws = [draws_of(there, metric, first, second) for metric in (accuracy, mean_f1)]
            p_value = f"{bootstrap_p_value(draws[0]):.3f}"
            shown = [[f"{100 * value:+.1f}", _bounds(drawn)] for value, drawn in zip(values, draws, strict=True)]
            rows.append([f"{first} − {second}", str(len(there)), *shown[0], p_value, _mcnemar(there, first, second)])
            rows[-1] += shown[1]
    return table(rows)


def by_event(cases: dict[str, Case]) -> str:
    """F1 of each class in each event, and the difference in accuracy to GPT-4o's labels with its interval."""
    rows = [["event", "", *(f"F1: {label}" for label in LABELS), "accuracy, points to GPT-4o", "95 % interval"]]
    for event, case in cases.items():
        for name in (TEACHER, MAIN, SIMPLE["tfidf"]):
            if name in case.said:
                figures = class_figures(case.gold, case.said[name], len(LABELS))["f1"]
                against = ["–", "–"]
                if name != TEACHER:
                    value = _value([case], accuracy, name, TEACHER)
                    against = [f"{100 * value:+.1f}", _bounds(draws_of([case], accuracy, name, TEACHER))]
                rows.append([event, name, *map(_share, figures), *against])
    return table(rows)


def ensembles(folder: Path, events: list[str]) -> str:
    """What each ensemble is made of, and how right it is where it has GPT-4o's label of the row too."""
    rows = [["event", "ensemble's accuracy", "member", "weight", "accuracy", "agreement out of fold", "minutes"]]
    for event in events:
        file = folder / event / "ensemble" / "results.json"
        if not file.exists():
            continue
        results = read_results(file)
        section, whole = results.section(Ensemble), results.figure("teacher", "accuracy")
        assert section is not None
        assert whole is not None
        for place, one in enumerate(section.members):
            about = [event, f"{100 * whole.value:.1f}"] if place == 0 else ["", ""]
            shares = [
                f"{100 * share:.1f}" if share is not None else "–" for share in (one.right, one.right_out_of_fold)
            ]
            rows.append([*about, one.title, f"{one.weight:.2f}", *shares, f"{one.seconds / 60:.1f}"])
    return table(rows)


def _with(cases: dict[str, Case], name: str) -> list[Case]:
    return [case for case in cases.values() if name in case.said]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _interval(cases: list[Case], metric: Metric, name: str) -> str:
    low, high = np.quantile(draws_of(cases, metric, name), [0.025, 0.975])
    return f"{100 * _value(cases, metric, name):.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _bounds(draws: NDArray[np.float64]) -> str:
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _mcnemar(cases: list[Case], first: str, second: str) -> str:
    """Test pooled rows; rows that several events' runs answer are not independent, and have no such test."""
    if len({case.rows for case in cases}) < len(cases):
        return "–"
    right = [np.concatenate([case.said[name] == case.gold for case in cases]) for name in (first, second)]
    p_value = mcnemar(right[0], right[1], seed=0).p_value
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def case_of(part: str, files: dict[str, list[Row]], event: str, lines: list[Row]) -> Case:
    """Return what is said of an event's held-out rows.

    Args:
        part: one of `events.PARTS`.
        files: the rows of the event's runs, with gold labels.
        event: its name.
        lines: answers of `events.add_answers`, of runs with as many training rows.

    Raises:
        ValueError: the answers are not about these rows.
    """
    rows = files["test" if part == "left_out" else "other"]
    said = {TEACHER: _ids(row["teacher_label"] for row in rows)} if part == "left_out" else {}
    for line in lines:
        if (line["event"], line["part"]) == (event, part):
            if len(line["answers"]) != len(rows):
                raise ValueError(f"{len(line['answers'])} answers to {len(rows)} rows of {event}, {part}")
            said[(STUDENTS | SIMPLE)[line["system"]]] = np.array([int(digit) for digit in line["answers"]])
    return Case(event if part == "left_out" else "CrisisLexT26", _ids(row["label"] for row in rows), said)


def _ids(labels: Iterable[str]) -> Answers:
    return np.array([LABELS.index(label) for label in labels])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("humaid", type=Path)
    parser.add_argument("crisislex", type=Path)
    parser.add_argument("answers", type=Path, help="as events.py writes it")
    parser.add_argument("--rows", type=int, choices=ROWS, default=ROWS[0], help="training rows")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.answers.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line["rows"] == options.rows]
    humaid, crisislex = read_humaid(options.humaid), read_crisislex(options.crisislex)
    events = [event for event in by_size(humaid)[:EVENTS] if event in {line["event"] for line in lines}]
    files = {event: split(humaid, crisislex, event, options.rows) for event in events}
    of_parts = [{event: case_of(part, files[event], event, lines) for event in events} for part in PARTS]
    for cases in of_parts:
        print(quality(cases) + "\n\n" + comparisons(cases) + "\n")
    print(by_event(of_parts[0]) + "\n")
    print(ensembles(FOLDER / str(options.rows), events))


if __name__ == "__main__":
    main()
