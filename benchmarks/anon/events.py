"""An event that is left out: a student of GPT-4o's labels and of models that learn them, against GPT-4o and TF-IDF.

    python benchmarks/anon/events.py HUMAID CRISISLEX --pilot           # tries the settings on a fourth event
    python benchmarks/anon/events.py HUMAID CRISISLEX                   # three events, 5,000 labels each
    python benchmarks/anon/events.py HUMAID CRISISLEX --rows 20000      # the same with 20,000 labels
    python benchmarks/anon/events_tables.py HUMAID CRISISLEX docs/results/anon_events.jsonl   # tables, as Markdown

Training rows are tweets of HumAID's other eight events with the label and the confidence of GPT-4o. Every arm answers
tweets of the event that is left out, and English ones of CrisisLexT26. Each arm is a run of its own in
``runs/events/ROWS/EVENT/ARM``; one that is done is not run again, one that was cut off goes on. What each system says
of the held-out rows is added to ``runs/events/answers.jsonl``, from which the tables are made.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from events_baselines import answer_simply
from run import CLASSES, write_student

from limbeck.atomic import write_text
from limbeck.cli.terminal import quiet_libraries
from limbeck.demo.setting import minilm_folder
from limbeck.results.read import read_results

FOLDER = Path("runs/events")
ROWS = [5000, 20000]
EVENTS = 3
EVENT_ROWS, CRISISLEX_ROWS = 2000, 2000
ENGLISH_COUNTRIES = {"Australia", "Canada", "Phillipines", "Philipinnes", "Singapore", "UK", "US"}
"""Countries of CrisisLexT26's events where English is an official language, as that collection spells them."""
ENGLISH = re.compile(r"\b(?:the|of|and|is|are|was|for|to|with|from|in)\b", re.IGNORECASE)
"""A tweet without any of these words is not taken for English."""
LABELS = sorted(set(CLASSES.values()))
ARMS = ["ensemble", "labels", "gold"]
"""Whose answers the student learns: the ensemble's, GPT-4o's alone, or, to see what bounds it, the annotators'."""
SIMPLE = ["tfidf", "frozen_embeddings"]
PARTS = ["left_out", "other"]
"""Held-out rows: of the event, and of CrisisLexT26."""
BATCH_SIZE, MAX_LENGTH = 32, 48
STUDENT_PASSES, LEARNING_RATE = 2.0, 5e-4
MEMBER_PASSES, FOLDS = 1.5, 2
MEMBER_LAYERS = (2, 4, 6)
"""Those that the student is made of."""

Row = dict[str, Any]


def read_humaid(source: Path) -> list[Row]:
    """Read all splits; labels outside the three classes are ``None``."""
    rows = []
    for split in ("train", "validation", "test"):
        for row in _read(source / f"{split}.jsonl.gz"):
            rows.append(
                {
                    "text": row["text"],
                    "event": row["event"],
                    "split": split,
                    "label": CLASSES.get(row["label"]),
                    "teacher_label": CLASSES.get(row["teacher_label"]),
                    "teacher_confidence": row["teacher_confidence"],
                }
            )
    return rows


def read_crisislex(source: Path) -> list[Row]:
    """Read English rows of one of the three classes, each text once; its events (2012 and 2013) precede HumAID's."""
    rows = {}
    for file in ("train.jsonl.gz", "validation.jsonl", "test.jsonl"):
        for row in _read(source / file):
            if row["risk3"] and row["country"] in ENGLISH_COUNTRIES and ENGLISH.search(row["text"]):
                rows.setdefault(row["text"], {"text": row["text"], "event": row["event"], "label": row["risk3"]})
    return list(rows.values())


def _read(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def by_size(rows: list[Row]) -> list[str]:
    """Return the events, those with the most rows that have both labels first: the rule by which they are left out."""
    counts = Counter(row["event"] for row in rows if row["label"] and row["teacher_label"])
    return sorted(counts, key=lambda event: (-counts[event], event))


def split(humaid: list[Row], crisislex: list[Row], event: str, train_rows: int) -> dict[str, list[Row]]:
    """Return the rows of an event's runs by the names of their files; ``train`` has no gold labels.

    Training rows are of the other events' training splits, and none has the text of a held-out row. Fewer rows are the
    first of more.
    """
    rng = random.Random(f"{event} test")
    left_out = [row for row in humaid if row["event"] == event and row["label"] and row["teacher_label"]]
    test = rng.sample(left_out, min(EVENT_ROWS, len(left_out)))
    other = random.Random("CrisisLexT26").sample(crisislex, min(CRISISLEX_ROWS, len(crisislex)))
    held_out = {row["text"] for row in left_out + other}
    pool = [
        row
        for row in humaid
        if row["event"] != event and row["split"] == "train" and row["teacher_label"] and row["text"] not in held_out
    ]
    random.Random(f"{event} train").shuffle(pool)
    train, test = ([{name: row[name] for name in row if name != "split"} for row in rows] for rows in (pool, test))
    gold = [row for row in train[:train_rows] if row["label"]]
    train = [{name: row[name] for name in row if name != "label"} for row in train[:train_rows]]
    return {"train": train, "train-gold": gold, "test": test, "other": other}


def write_rows(files: dict[str, list[Row]], folder: Path) -> None:
    """Write each list of rows as JSON Lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(folder / f"{name}.jsonl", lines)


def run_file(arm: str, folder: Path, rows: int) -> dict[str, Any]:
    """Return an arm's run: the same student from the same start for the same steps, whatever it learns.

    Args:
        arm: one of `ARMS`.
        folder: with the rows; the run's folder is in it.
        rows: training rows.
    """
    column = {"labels_from": "teacher_label", "confidence": "teacher_confidence"}
    return {
        "task": {"labels": LABELS},
        "data": {
            "train": str(folder / ("train-gold.jsonl" if arm == "gold" else "train.jsonl")),
            "test": str(folder / "test.jsonl"),
        },
        "teacher": {"ensemble": _ensemble(rows, column)} if arm == "ensemble" else column,
        "student": {"model": str(minilm_folder()), "layers": "uniform", "keep": 3},
        "recipe": "fine_tune" if arm == "gold" else {"name": "kd", "label_weight": 0, "loss_temperature": 1},
        "training": _training(STUDENT_PASSES * rows),
        "seeds": [0],
        "speed": False,
        "baselines": [],
        "simple_baselines": False,
        "output": str(folder / arm),
    }


def _ensemble(rows: int, column: dict[str, str]) -> dict[str, Any]:
    """Return the teacher; its member that is trained has the student's size, so that all ends in an hour on a core."""
    members = [
        "tfidf",
        {"model": str(minilm_folder()), "recipe": "linear_probe", "training": {"max_length": MAX_LENGTH}},
        {
            "model": str(FOLDER / "member"),
            "pooling": "mean",
            "training": _training(MEMBER_PASSES * rows * (FOLDS - 1) / FOLDS),
        },
        column,
    ]
    return {"members": members, "folds": FOLDS}


def _training(rows_seen: float) -> dict[str, Any]:
    return {
        "max_steps": int(rows_seen) // BATCH_SIZE,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "dropout": 0.1,
        "freeze_word_embeddings": True,
        "max_length": MAX_LENGTH,
        "checkpoints": 2,
    }


def _answer_simply(files: dict[str, list[Row]], folder: Path) -> None:
    labels_N = np.array([LABELS.index(row["teacher_label"]) for row in files["train"]])
    texts, asked = ([row["text"] for row in rows] for rows in (files["train"], files["test"] + files["other"]))
    answer_simply(folder, texts, labels_N, asked, classes=len(LABELS), max_length=MAX_LENGTH)


def _train(run: dict[str, Any]) -> Path:
    """Run an arm in a process of its own and return its folder."""
    output = Path(run["output"])
    path = output.with_name(f"{output.name}.yaml")
    write_text(path, yaml.safe_dump(run, sort_keys=False))
    subprocess.run([sys.executable, "-m", "limbeck", "distill", str(path)], check=True)
    return output


def _label_the_other(run: Path) -> None:
    """Let an arm's saved student label the rows of CrisisLexT26."""
    said = run.with_name(f"{run.name}-other.jsonl")
    if not said.exists():
        words = ["predict", str(run / "student"), str(run.with_name("other.jsonl")), "--output", str(said)]
        subprocess.run([sys.executable, "-m", "limbeck", *words], check=True)


def answers(folder: Path) -> dict[tuple[str, str], str]:
    """Return what systems that are done say of the held-out rows, by part and system: a digit for each row's label."""
    first = len((folder / "test.jsonl").read_text(encoding="utf-8").splitlines())
    found: dict[tuple[str, str], Any] = {}
    for name in SIMPLE:
        if (folder / f"{name}.npy").exists():
            found["left_out", name], found["other", name] = np.split(np.load(folder / f"{name}.npy"), [first])
    for arm in ARMS:
        other = folder / f"{arm}-other.jsonl"
        if (folder / arm / "results.json").exists():
            file = folder / arm / "predictions" / "distilled-seed0.npy"
            found["left_out", arm] = np.load(file, allow_pickle=False).argmax(axis=-1)
        if other.exists():
            said = other.read_text(encoding="utf-8").splitlines()
            found["other", arm] = [LABELS.index(json.loads(line)["label"]) for line in said]
    return {key: "".join(str(one) for one in labels) for key, labels in found.items()}


def add_answers(folder: Path, rows: int) -> None:
    """Put the answers of an event's runs into the file of all, in place of older ones of the same systems."""
    path = FOLDER / "answers.jsonl"
    kept = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    lines = {(one["rows"], one["event"], one["part"], one["system"]): one for one in kept}
    for (part, system), said in answers(folder).items():
        one = {"rows": rows, "event": folder.name, "part": part, "system": system, "answers": said}
        lines[rows, folder.name, part, system] = one
    write_text(path, "".join(json.dumps(lines[key]) + "\n" for key in sorted(lines)))


def _try_settings(files: dict[str, list[Row]], folder: Path, rows: int) -> None:
    """Train the student of GPT-4o's labels on a fourth event, where those labels take the place of gold ones."""
    given = [row | {"label": row["teacher_label"]} for row in files["test"]]
    write_rows({"train": files["train"], "test": given}, folder)
    run = run_file("labels", folder, rows)
    run["simple_baselines"] = True
    found = read_results(_train(run) / "results.json")
    for system in found.systems:
        if agreed := found.figure(system.name, "accuracy"):
            print(f"{system.title}: {100 * agreed.value:.1f} % of GPT-4o's labels")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("humaid", type=Path, help="folder with train, validation and test.jsonl.gz")
    parser.add_argument("crisislex", type=Path, help="folder with train.jsonl.gz, validation.jsonl and test.jsonl")
    parser.add_argument("--rows", type=int, choices=ROWS, default=ROWS[0], help="training rows")
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=ARMS)
    parser.add_argument("--events", type=int, default=EVENTS, help="how many events, the largest first")
    parser.add_argument("--pilot", action="store_true", help="only try the settings, by agreement with GPT-4o")
    options = parser.parse_args()
    quiet_libraries()
    humaid, crisislex = read_humaid(options.humaid), read_crisislex(options.crisislex)
    events = by_size(humaid)
    if not (FOLDER / "member").exists():
        write_student(FOLDER / "member", MEMBER_LAYERS)
    if options.pilot:
        _try_settings(split(humaid, crisislex, events[EVENTS], options.rows), FOLDER / "pilot", options.rows)
        return
    for event in events[: options.events]:
        folder = FOLDER / str(options.rows) / event
        files = split(humaid, crisislex, event, options.rows)
        write_rows(files, folder)
        _answer_simply(files, folder)
        for arm in options.arms:
            _label_the_other(_train(run_file(arm, folder, options.rows)))
            add_answers(folder, options.rows)


if __name__ == "__main__":
    main()
