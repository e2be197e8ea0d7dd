"""ANON on crisis tweets: a real GPT-4o's labels teach a small encoder; gold labels only evaluate.

    python benchmarks/anon/run.py FOLDER_OF_HUMAID --rates     # which learning rates suit, by the teacher's labels
    python benchmarks/anon/run.py FOLDER_OF_HUMAID             # trains all arms, one process each
    python benchmarks/anon/tables.py                           # prints their tables as Markdown

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from limbeck.cli.terminal import quiet_libraries

FOLDER = Path("runs/anon")
TRAIN_ROWS, TEST_ROWS, RATE_ROWS = 5120, 2000, 1000
BATCH_SIZE, PASSES = 32, 3
MORE_ROWS, MORE_PASSES = 20480, 2
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

ADAPTERS: dict[str, dict[str, Any] | None] = {
    "full": None,
    "lora": {"kind": "lora", "rank": 16},
    "qlora": {"kind": "qlora", "rank": 16},
    "houlsby": {"kind": "houlsby", "width": 32},
}
RATES = {"full": 1e-3, "lora": 3e-3, "qlora": 3e-3, "houlsby": 3e-3}
"""Learning rates, the best of those that ``--rates`` tries; QLoRA has that of LoRA."""
TRIED = {"full": (2e-4, 5e-4, 1e-3), "lora": (1e-3, 3e-3, 1e-2), "houlsby": (1e-3, 3e-3, 1e-2)}
TRIED_STEPS = 150
ARMS = [
    "full-soft-progressive",
    "lora-soft-progressive",
    "full-gold",
    "houlsby-soft-progressive",
    "qlora-soft-progressive",
    "full-soft-random",
    "lora-soft-random",
    "full-hard-progressive",
    "full-hard-random",
    "lora-hard-progressive",
    "houlsby-soft-random",
    "lora-hard-random",
    "houlsby-hard-progressive",
    "houlsby-hard-random",
    "lora-soft-random-more",
]
"""What is trained, on which labels, in which order; ``more``: on four times the rows.

The plain student, untrained, is measured in each of them.
"""


def write_rows(source: Path, folder: Path) -> None:
    """Sample the rows: for training those with a label of the teacher, for the test those with both labels.

    The rows by which learning rates are chosen have the teacher's labels in place of the gold ones.
    """
    rng = random.Random(0)
    all_train = [row for row in _read(source / "train.jsonl.gz") if row["teacher_label"] is not None]
    dev = [row for row in _read(source / "validation.jsonl.gz") if row["teacher_label"] is not None]
    test = [row for row in _read(source / "test.jsonl.gz") if row["label"] and row["teacher_label"]]
    train, dev, test = rng.sample(all_train, TRAIN_ROWS), rng.sample(dev, RATE_ROWS), rng.sample(test, TEST_ROWS)
    seen = {row["text"] for row in train}
    more = train + rng.sample([row for row in all_train if row["text"] not in seen], MORE_ROWS - TRAIN_ROWS)
    dev = [row | {"label": row["teacher_label"]} for row in dev]
    files = {"train": _unlabelled(train), "train-more": _unlabelled(more), "train-gold": train}
    for name, rows in (files | {"rates": dev, "test": test}).items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def _unlabelled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "label"} for row in rows]


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


def write_student(folder: Path, layers: Sequence[int] = (3, 6)) -> None:
    """Write the student's start: some layers of all-MiniLM-L6-v2, two unless others are asked for."""
    from transformers import AutoModel

    from limbeck.demo.setting import minilm_folder
    from limbeck.models.load import load_tokenizer, save_model
    from limbeck.students.initialise import student_from_layers

    source = str(minilm_folder())
    encoder = AutoModel.from_pretrained(source)  # with its pooler, which the head of the measured students reads
    save_model(student_from_layers(encoder, layers), load_tokenizer(source), folder)


def run_file(arm: str, learning_rate: float | None = None) -> dict[str, Any]:
    """Return an arm's run, or a short one that tries a learning rate.

    Schedule, decay and clipping are the paper's; learning rates of a small encoder are ours.
    """
    trained, labels, *order = arm.split("-")
    adapter, gold, more = ADAPTERS[trained], labels == "gold", "more" in order
    rows = "train-gold" if gold else "train-more" if more else "train"
    whole = (MORE_PASSES * MORE_ROWS if more else PASSES * TRAIN_ROWS) // BATCH_SIZE
    data = {"train": FOLDER / f"{rows}.jsonl", "test": FOLDER / "test.jsonl"}
    if learning_rate:
        data["test"] = FOLDER / "rates.jsonl"
    return {
        "data": {name: str(path) for name, path in data.items()},
        "teacher": {"labels_from": "teacher_label", "confidence": "teacher_confidence"},
        "student": {"model": str(FOLDER / "start"), **({"adapter": adapter} if adapter else {})},
        "recipe": {"name": "fine_tune"} if gold else {"name": "anon", "labels": labels, "order": order[0]},
        "training": {
            "max_steps": TRIED_STEPS if learning_rate else whole,
            "batch_size": BATCH_SIZE,
            "learning_rate": learning_rate or RATES[trained],
            "schedule": "cosine",
            "weight_decay": 0.001,
            "max_grad_norm": 0.3,
            "dropout": 0.1,
            "max_length": 40,
            "checkpoints": 1,
        },
        "seeds": SEEDS[:1] if learning_rate else SEEDS,
        "baselines": [],
        "output": str(_output(arm, learning_rate)),
    }


def _output(arm: str, learning_rate: float | None = None) -> Path:
    return FOLDER / "rates" / f"{arm}-{learning_rate:g}" if learning_rate else FOLDER / arm


def _train(arm: str, learning_rate: float | None = None) -> None:
    """Run an arm in a process of its own, so that its peak memory is its own."""
    path = Path(f"{_output(arm, learning_rate)}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(run_file(arm, learning_rate), sort_keys=False), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "limbeck", "distill", str(path)], check=True)


def _try_rates() -> None:
    for trained, rates in TRIED.items():
        for rate in rates:
            arm = f"{trained}-soft-random"
            _train(arm, rate)
            found = json.loads((_output(arm, rate) / "results.json").read_text(encoding="utf-8"))
            system = next(system for system in found["systems"] if system["name"] == "distilled")
            print(f"{trained} {rate:g}: {100 * system['accuracy']['value']:.1f} % of the teacher's labels", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("humaid", type=Path, help="folder with train, validation and test.jsonl.gz")
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=ARMS)
    parser.add_argument("--rates", action="store_true", help="only try learning rates, by agreement with the teacher")
    options = parser.parse_args()
    quiet_libraries()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "start").exists():
        write_rows(options.humaid, FOLDER)
        write_student(FOLDER / "start")
    if options.rates:
        _try_rates()
        return
    for arm in options.arms:
        _train(arm)


if __name__ == "__main__":
    main()
