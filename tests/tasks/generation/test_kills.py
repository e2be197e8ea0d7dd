"""`limbeck store` and `limbeck distill` of texts, killed at random moments: nothing is lost, and the end is the same.

Processes and signals are real. They are forked from one that has imported everything (`until_killed.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.runs.forge import Forge
from tests.tasks.generation.text_models import text_sections, train_rows, write_jsonl

from limbeck.teachers.store.fingerprint import STORE_FILE
from limbeck.teachers.store.reader import TokenStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("until_killed.py")
    yield made
    made.end()


def write_run_file(sections: dict[str, Any], folder: Path) -> str:
    path = folder / "run.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return str(path)


def weights(run: Path) -> dict[str, bytes]:
    tensors = load_file(run / "student" / "model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def losses(run: Path) -> list[tuple[Any, ...]]:
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["stage"], line["step"], line["loss"]) for line in logged]


def figures(run: Path) -> Any:
    return json.loads((run / "results.json").read_text(encoding="utf-8"))["figures"]


@pytest.mark.parametrize(
    ("recipe", "kills"),
    [
        # The teacher writes, then a stage on what it wrote.
        ({"name": "seqkd", "decode": "sample", "max_new_tokens": 6}, 6),
        # Two stages; the second trains on rounds of texts that the student wrote with the teacher.
        ({"name": "minillm", "prompts": 16, "inner_epochs": 2, "max_new_tokens": 4}, 7),
        # Texts that were written before are trained on again.
        ({"name": "distillm", "validations": 8, "capacity": 8, "max_new_tokens": 4, "fine_tune_fraction": 0}, 7),
    ],
    ids=["seqkd", "minillm", "distillm"],
)
def test_a_run_killed_at_random_moments_ends_in_the_same_student(
    recipe: dict[str, Any], kills: int, forge: Forge, tmp_path: Path
) -> None:
    sections = text_sections(tmp_path, recipe=recipe)
    sections["training"].update(max_steps=8, checkpoints=8)
    if recipe["name"] == "distillm":
        # A loss that rises lets texts of the student in: this rate makes it rise.
        sections["training"].update(learning_rate=0.1)
    run_file, whole = write_run_file(sections, tmp_path), tmp_path / "whole"
    seconds = forge.timed("distill", run_file, "--set", f"output={whole}")

    chance, hits, runs = random.Random(0), 0, 0
    while hits < kills or runs == 0:
        run = tmp_path / f"run-{runs}"
        words = ("distill", run_file, "--set", f"output={run}")
        code = forge.run(*words, kill_after=chance.uniform(0, seconds) if hits < kills else None)
        assert code in (0, -signal.SIGKILL)
        hits += code != 0
        if code == 0:
            assert weights(run) == weights(whole)
            assert losses(run) == losses(whole)
            assert figures(run) == figures(whole)
            runs += 1


def contents(store: Path, keys: list[str]) -> list[bytes]:
    found = TokenStore.open(store).read(keys)
    tensors: list[torch.Tensor] = [found.ids_SK, found.log_probs_SK, found.tail_S]
    return [tensor.numpy().tobytes() for tensor in tensors]


def size(folder: Path) -> int:
    """Return the bytes of a folder that is written to meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def test_a_store_killed_at_random_moments_has_the_same_contents(forge: Forge, tmp_path: Path) -> None:
    """Some rows stand in the data twice. Every other kill comes soon after a run's first write."""
    from limbeck.runs.config import run_config
    from limbeck.tasks.generation.config import TextRunConfig
    from limbeck.tasks.generation.context import set_up
    from limbeck.tasks.generation.rows import read_texts
    from limbeck.types import SilentProgress

    sections = text_sections(tmp_path, recipe={"name": "kd"})
    many = [{**row, "question": f"{row['question']} {i}"} for i in range(4) for row in train_rows()]
    sections["data"]["train"] = write_jsonl(tmp_path / "many.jsonl", [*many, *many[:20]])
    sections["teacher"] |= {"store": "x", "top_k": 8}
    run_file, whole = write_run_file(sections, tmp_path), tmp_path / "whole"
    seconds = forge.timed("store", run_file, "--set", f"teacher.store={whole}")
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    keys = set_up(config, tmp_path, read_texts(config), SilentProgress()).train_rows.keys
    expected = contents(whole, keys)
    assert len(TokenStore.open(whole)) == len(many)

    chance, hits, stores, kept, partial = random.Random(0), 0, 0, 0, 0
    while hits < 20 or stores == 0:
        store = tmp_path / f"store-{stores}"
        words = ("store", run_file, "--set", f"teacher.store={store}")
        if hits >= 20:
            code = forge.run(*words)
        elif hits % 2:
            code = forge.run(*words, kill_after=chance.uniform(0, seconds))
        else:
            before = size(store)
            code = forge.run(
                *words,
                kill_after=chance.uniform(0, seconds / 20),
                since=lambda store=store, before=before: size(store) > before,
            )
        assert code in (0, -signal.SIGKILL)
        now = len(TokenStore.open(store)) if (store / STORE_FILE).exists() else 0
        assert now >= kept
        partial += kept < now < len(many)
        kept, hits = now, hits + (code != 0)
        if code == 0:
            assert now == len(many)
            assert contents(store, keys) == expected
            stores, kept = stores + 1, 0
    assert partial > 0
