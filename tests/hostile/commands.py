"""Eight commands that take a second or two, and what is to be compared of their ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runs.outcomes import filter_outcome, run_outcome, tune_outcome
from tests.runs.paid_server import PaidServer
from tests.tasks.generation.text_models import text_sections, train_rows, write_jsonl
from tests.tasks.ranking.conftest import make_toy_model, toy_sections, write_toy_sets

__all__ = [
    "Command",
    "Maker",
    "Material",
    "anon_by_api",
    "asked_again",
    "classification",
    "filtering",
    "instructions",
    "store",
    "texts",
    "tuning",
]

CONCURRENCY = 4
Outcome = Callable[[Path], Any]


@dataclass(frozen=True)
class Command:
    """A command that writes into a folder of its choice."""

    words: Callable[[Path], tuple[str, ...]]
    """Of the command, for a folder to write into."""
    outcome: Outcome
    """What is in the folder at the end."""
    journal: str | None = None
    """The file in the folder with an API's answers, where one is asked."""


Maker = Callable[[Path, PaidServer, "Material"], Command]


@dataclass(frozen=True)
class Material:
    """Of tests/conftest.py."""

    encoder: Path
    tickets: dict[str, Path]


def _write(folder: Path, content: dict[str, Any]) -> str:
    path = folder / "file.yaml"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return str(path)


def _run(folder: Path, sections: dict[str, Any], outcome: Outcome = run_outcome, **options: Any) -> Command:
    file = _write(folder, sections)
    return Command(lambda output: ("distill", file, "--set", f"output={output}"), outcome, **options)


def classification(folder: Path, server: PaidServer, material: Material) -> Command:
    """Fine-tune a teacher, keep its signals, distil, compare."""
    labelled = material.tickets["labelled"]
    fine_tune = {"max_steps": 8, "learning_rate": 3e-3, "batch_size": 8, "checkpoints": 4, "log_every": 1}
    fine_tune["fit_head"] = False  # eight steps from a fitted head end below the most frequent label
    return _run(folder, {
        "data": {"train": [str(labelled), str(material.tickets["unlabelled"])], "test": str(material.tickets["test"])},
        "teacher": {"model": str(material.encoder), "fine_tune": fine_tune},
        "student": {"from_teacher": {"layers": "uniform", "keep": 2}},
        "recipe": {"name": "kd", "label_weight": 0.0},
        "training": {"max_steps": 5, "learning_rate": 1e-3, "batch_size": 8, "log_every": 1, "checkpoints": 5},
    })  # fmt: skip


def texts(folder: Path, server: PaidServer, material: Material) -> Command:
    """The teacher writes, then the student is fine-tuned on that and trained on its own texts."""
    recipe = {"name": "gkd", "on_policy_fraction": 0.5, "otherwise": "teacher", "max_new_tokens": 4}
    sections = text_sections(folder, recipe=recipe, answers={"rows": 4, "max_new_tokens": 4})
    sections["training"].update(max_steps=6, checkpoints=6)
    return _run(folder, sections)


def instructions(folder: Path, server: PaidServer, material: Material) -> Command:
    """ML-IPD with a budget of target labels."""
    write_toy_sets(folder / "data", train=16, test=8)
    sections = toy_sections(make_toy_model(folder / "model"), folder / "data", folder / "run")
    for part in sections["training"].values():
        part |= {"max_steps": 3, "checkpoints": 3}
    return _run(folder, sections)


def anon_by_api(folder: Path, server: PaidServer, material: Material) -> Command:
    """A paid teacher labels; the student learns easy rows first."""
    return _run(folder, {
        **_labelled_by_api(folder, server, material),
        "teacher": _api(server),
        "recipe": {"name": "anon"},
    }, journal="journal.sqlite")  # fmt: skip


def asked_again(folder: Path, server: PaidServer, material: Material) -> Command:
    """A paid model labels, and is asked again about the labels that a member of its ensemble contradicts."""
    sections = _labelled_by_api(folder, server, material)
    labels, train = sections["task"]["labels"], _rows(material.tickets["labelled"])[:40]
    for row in train[::4]:
        server.knows[row["text"]] = labels[(labels.index(row["label"]) + 1) % len(labels)]
    return _run(folder, {
        **sections,
        "teacher": {"ensemble": {"members": ["tfidf", _api(server)], "folds": 2, "rounds": 2}},
        "recipe": {"name": "kd", "label_weight": 0.0},
    }, journal="journal.sqlite")  # fmt: skip


def _api(server: PaidServer) -> dict[str, Any]:
    api = {"base_url": server.base_url, "model": "large", "log_probs": 5, "concurrency": CONCURRENCY}
    return {"api": api, "prompt": {}}


def _labelled_by_api(folder: Path, server: PaidServer, material: Material) -> dict[str, Any]:
    """Return the sections of a run on 40 rows without gold labels, whose labels the server knows."""
    labels = sorted({row["label"] for row in _rows(material.tickets["test"])})
    labelled = _rows(material.tickets["labelled"])[:40]
    train = [{"text": row["text"]} for row in labelled]
    server.knows = {row["text"]: row["label"] for row in [*labelled, *_rows(material.tickets["test"])]}
    return {
        "task": {"labels": labels},
        "data": {
            "train": write_jsonl(folder / "train.jsonl", train),
            "test": write_jsonl(folder / "test.jsonl", _rows(material.tickets["test"])[:16]),
        },
        "student": {"model": str(material.encoder)},
        "training": {"max_steps": 6, "learning_rate": 1e-3, "batch_size": 8, "log_every": 1, "checkpoints": 6},
    }


def store(folder: Path, server: PaidServer, material: Material) -> Command:
    """Keep the teacher's likeliest tokens; some rows stand in the data twice."""
    sections = text_sections(folder, recipe={"name": "kd"})
    many = [{**row, "question": f"{row['question']} {i}"} for i in range(4) for row in train_rows()]
    sections["data"]["train"] = write_jsonl(folder / "many.jsonl", [*many, *many[:20]])
    sections["teacher"] |= {"store": "x", "top_k": 8}
    file = _write(folder, sections)
    return Command(
        lambda output: ("store", file, "--set", f"teacher.store={output}"), lambda output: _contents(sections, output)
    )


def _contents(sections: dict[str, Any], folder: Path) -> list[bytes]:
    from limbeck.runs.config import run_config
    from limbeck.tasks.generation.config import TextRunConfig
    from limbeck.tasks.generation.context import set_up
    from limbeck.tasks.generation.rows import read_texts
    from limbeck.teachers.store.reader import TokenStore
    from limbeck.types import SilentProgress

    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    keys = set_up(config, folder, read_texts(config), SilentProgress()).train_rows.keys
    found = TokenStore.open(folder)
    assert len(found) == len(set(keys))
    kept = found.read(keys)
    return [tensor.numpy().tobytes() for tensor in (kept.ids_SK, kept.log_probs_SK, kept.tail_S)]


def filtering(folder: Path, server: PaidServer, material: Material) -> Command:
    """A cheap score for all articles, and a paid yes or no for what it keeps."""
    from tests.filter.test_kills import filter_settings

    settings = filter_settings(folder, server, articles=80)
    return _into_output(folder, settings, "filter", filter_outcome, "answers.sqlite")


def tuning(folder: Path, server: PaidServer, material: Material) -> Command:
    """Search for a prompt by what a paid teacher answers."""
    labels = sorted({row["label"] for row in _rows(material.tickets["test"])})
    api = {"base_url": server.base_url, "model": "large", "log_probs": 5, "concurrency": CONCURRENCY}
    rows = _rows(material.tickets["labelled"])
    settings = {
        "task": {"labels": labels},
        "data": {
            "dev": write_jsonl(folder / "dev.jsonl", rows[:16]),
            "pool": write_jsonl(folder / "pool.jsonl", rows[16:32]),
        },
        "teacher": {"api": api},
        "search": {"configurations": 6, "per_class": [1], "orders": 2, "paraphrases": 2},
    }
    return _into_output(folder, settings, "prompts tune", tune_outcome, "journal.sqlite")


def _into_output(folder: Path, settings: dict[str, Any], command: str, outcome: Outcome, journal: str) -> Command:
    def words(output: Path) -> tuple[str, ...]:
        return (*command.split(), _write(folder, {**settings, "output": str(output)}))

    return Command(words, outcome, journal)


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
