"""Runs with a head that are killed, in every part of them: nothing is lost, and the end is the same.

Processes and signals are real. They are forked from one that has imported everything (`tests/runs/until_killed.py`).
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs.forge import Forge
from tests.runs.outcomes import differences, run_outcome

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

MOMENTS = [
    "stages/01-*/checkpoints/*/limbeck.json",
    "signals/outputs.npy",
    "signals/state.json",
    "predictions/student_init-*.npy",
    "stages/02-*/checkpoints/*/limbeck.json",
    "stages/03-*/checkpoints/*/limbeck.json",
    "predictions/fine_tune-*.npy",
]
"""What is there when a run is killed, some time after it."""


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("until_killed.py")
    yield made
    made.end()


@pytest.fixture(params=["entities", "numbers", "labels"])
def run_file(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    encoder: Path,
    tagged: Callable[..., Path],
    valued: Callable[..., Path],
    labelled: Callable[..., Path],
) -> str:
    task, write = {
        "entities": ({"kind": "token_classification", "words": "tokens"}, tagged),
        "numbers": ({"kind": "regression", "value": ["price", "year"]}, valued),
        "labels": ({"kind": "multi_label"}, labelled),
    }[request.param]
    training = {"max_steps": 12, "batch_size": 8, "learning_rate": 3e-3, "checkpoints": 3, "log_every": 2}
    sections: dict[str, Any] = {
        "task": task,
        "data": {"train": str(write("train", 320)), "test": str(write("test", 40, start=1000))},
        "teacher": {"model": str(encoder), "fine_tune": training},
        "student": {"from_teacher": {"layers": "first", "keep": 1}},
        "recipe": "kd",
        "training": {**training, "dropout": 0.1},
        "output": str(tmp_path / "run"),
    }
    path = tmp_path / "run.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return str(path)


def test_kill_9_in_every_part_ends_in_the_same_run(run_file: str, forge: Forge, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert forge.run("distill", run_file, "--set", f"output={whole}") == 0, forge.output
    words, chance, kills = ("distill", run_file, "--set", f"output={killed}"), random.Random(0), 0
    for moment in MOMENTS:

        def reached(wanted: str = moment) -> bool:
            return any(killed.glob(wanted))

        code = forge.run(*words, kill_after=chance.uniform(0, 0.05), since=reached)
        assert code in (0, -signal.SIGKILL), forge.output
        kills += code != 0
    assert kills >= 5
    assert forge.run(*words) == 0, forge.output
    assert differences(run_outcome(whole), run_outcome(killed)) == []
