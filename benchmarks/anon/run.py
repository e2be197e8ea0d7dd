"""ANON on crisis tweets: a real GPT-4o's labels teach a small encoder; gold labels only evaluate.

    python benchmarks/anon/run.py FOLDER_OF_HUMAID     # trains all arms, one process each
    python benchmarks/anon/tables.py                   # prints their tables as Markdown

HumAID with the labels and confidences of GPT-4o (fields ``teacher_label`` and ``teacher_confidence``), folded into
three classes of risk. Each arm is a run of its own in ``runs/anon/ARM``; an arm that is done is not run again, one
that was cut off goes on. The student is layers 3 and 6 of all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from limbeck.cli.terminal import quiet_libraries

FOLDER = Path("runs/anon")
TRAIN_ROWS, TEST_ROWS = 1152, 1000
SEEDS = [0, 1, 2]

RISK = "risk_and_warning"
CLASSES = {
    "injured_or_dead_people": RISK,
    "infrastructure_and_utility_damage": RISK,
    "missing_or_found_people": RISK,
    "displaced_people_and_evacuations": RISK,
    "requests_or_urgent_needs": RISK,
    "caution_and_advice": "caution_and_advice",
    "sympathy_and_support": "safe_and_harmless",
    "rescue_volunteering_or_donation_effort": "safe_and_harmless",
    "not_humanitarian": "safe_and_harmless",
}
"""Of ten classes three; ``other_relevant_information`` is none of them."""

_LORA, _HOULSBY = {"kind": "lora", "rank": 16}, {"kind": "houlsby", "width": 32}
ARMS: dict[str, dict[str, Any]] = {
    "full-soft-progressive": {},
    "full-soft-random": {"recipe": {"order": "random"}},
    "lora-soft-progressive": {"adapter": _LORA},
    "lora-soft-random": {"adapter": _LORA, "recipe": {"order": "random"}},
    "houlsby-soft-progressive": {"adapter": _HOULSBY},
    "full-hard-progressive": {"recipe": {"labels": "hard"}},
    "full-hard-random": {"recipe": {"labels": "hard", "order": "random"}},
    "full-gold": {"gold": True},
}
"""The plain student, untrained, is measured in each of them."""


def write_rows(source: Path, folder: Path) -> None:
    """Sample the rows: for training those with a label of the teacher, for the test those with both labels."""
    rng = random.Random(0)
    train = [row for row in _read(source / "train.jsonl.gz") if row["teacher_label"] is not None]
    test = [row for row in _read(source / "test.jsonl.gz") if row["label"] and row["teacher_label"]]
    train, test = rng.sample(train, TRAIN_ROWS), rng.sample(test, TEST_ROWS)
    unlabelled = [{name: value for name, value in row.items() if name != "label"} for row in train]
    for name, rows in (("train", unlabelled), ("train-gold", train), ("test", test)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        {
            "text": row["text"],
            "label": CLASSES.get(row["label"]),
            "teacher_label": CLASSES.get(row["teacher_label"]),
            "teacher_confidence": row["teacher_confidence"],
        }
        for row in rows
    ]


def write_student(folder: Path) -> None:
    """Write the student's start: two layers of all-MiniLM-L6-v2."""
    from limbeck.demo.setting import minilm_folder
    from limbeck.models.load import load_classifier, load_tokenizer, save_model
    from limbeck.students.initialise import student_from_layers

    source = str(minilm_folder())
    encoder = load_classifier(source, labels=sorted(set(CLASSES.values()))).base_model
    save_model(student_from_layers(encoder, [3, 6]), load_tokenizer(source), folder)


def run_file(arm: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return an arm's run: the paper's schedule, decay and clipping; learning rates of a small encoder are ours."""
    gold = settings.get("gold", False)
    adapter = settings.get("adapter")
    return {
        "data": {"train": str(FOLDER / f"train{'-gold' if gold else ''}.jsonl"), "test": str(FOLDER / "test.jsonl")},
        "teacher": {"column": "teacher_label", "confidence": "teacher_confidence"},
        "student": {"model": str(FOLDER / "start"), **({"adapter": adapter} if adapter else {})},
        "recipe": {"name": "fine_tune"} if gold else {"name": "anon", **settings.get("recipe", {})},
        "training": {
            "steps": 2 * TRAIN_ROWS // 32,
            "batch_size": 32,
            "learning_rate": 3e-3 if adapter else 5e-4,
            "schedule": "cosine",
            "weight_decay": 0.001,
            "max_grad_norm": 0.3,
            "dropout": 0.1,
            "max_length": 40,
            "checkpoints": 1,
        },
        "seeds": SEEDS,
        "compare_fine_tuned": False,
        "output": str(FOLDER / arm),
    }


def main() -> None:
    """Run the arms, each in a process of its own, so that its peak memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("humaid", type=Path, help="folder with train.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    quiet_libraries()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "start").exists():
        write_rows(options.humaid, FOLDER)
        write_student(FOLDER / "start")
    for arm in options.arms:
        path = FOLDER / f"{arm}.yaml"
        path.write_text(yaml.safe_dump(run_file(arm, ARMS[arm]), sort_keys=False), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "limbeck", "distill", str(path)], check=True)


if __name__ == "__main__":
    main()
