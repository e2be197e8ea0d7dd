"""Runs on texts that are interrupted, or meet a disk that refuses. `test_kills.py` has those that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.runs.interruption import InterruptAfter
from tests.tasks.generation.text_models import LLAMA, text_sections

import limbeck

PROGRAM = (
    # What these tests are not about: speed, and drawing.
    "import limbeck.tasks.generation.measure as outcome, limbeck.report.page as page\n"
    "from limbeck.results.sections import Speed\n"
    "outcome.writing_speed = lambda *words: Speed(parameters=1, size_bytes=1, tokens_per_second=None,"
    " batch_size=None, peak_memory_bytes=None)\n"
    "page.write_report = lambda results, path: path.touch()\n"
    "from limbeck.cli.app import main; main()"
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def start(run_file: Path, output: Path, command: str = "distill") -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, command, str(run_file), "--set", f"output={output}"]
    return subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def weights(run: Path) -> dict[str, bytes]:
    tensors = load_file(run / "student" / "model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def losses(run: Path) -> list[tuple[Any, ...]]:
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["stage"], line["step"], line["loss"]) for line in logged]


def write_run_file(sections: dict[str, Any], folder: Path) -> Path:
    path = folder / "run.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        {"name": "gkd", "on_policy_fraction": 0.5, "otherwise": "teacher", "max_new_tokens": 4},
        {"name": "minillm", "prompts": 16, "inner_epochs": 3, "max_new_tokens": 4},
        {"name": "f_distill", "variant": "js", "max_new_tokens": 4},
    ],
    ids=["gkd", "minillm", "f_distill"],
)
def test_an_interrupt_at_any_step_changes_nothing_in_the_end(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.results.sections import Speed

    speed = Speed(parameters=1, size_bytes=1, tokens_per_second=None, batch_size=None, peak_memory_bytes=None)
    monkeypatch.setattr("limbeck.tasks.generation.measure.writing_speed", lambda *words: speed)
    monkeypatch.setattr("limbeck.evaluation.metrics.measure.RESAMPLES", 20)
    monkeypatch.setattr("limbeck.report.page.write_report", lambda results, path: path.touch())
    sections = text_sections(tmp_path, recipe=recipe, answers={"rows": 8, "max_new_tokens": 3})
    sections["training"].update(max_steps=8, checkpoints=4)
    limbeck.distill(**sections)
    expected, log = weights(Path(sections["output"])), losses(Path(sections["output"]))
    sections["output"] = str(tmp_path / "interrupted")
    interrupts = 0
    for advances in (3, 7, 2, 5, 4):
        try:
            limbeck.distill(**sections, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            interrupts += 1
            continue
        break
    assert interrupts >= 3
    limbeck.distill(**sections)
    assert weights(tmp_path / "interrupted") == expected
    assert losses(tmp_path / "interrupted") == log


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """A limit on file size makes the operating system refuse the optimiser's file, as a full disk does."""
    sections = text_sections(tmp_path, student={"config": {**LLAMA, "hidden_size": 32}})
    sections["training"].update(max_steps=8, checkpoints=4)
    run_file, run = write_run_file(sections, tmp_path), tmp_path / "full"
    program = (
        "import resource, signal, sys\n"
        "from limbeck.stages import callbacks\n"
        "whole = callbacks.StageCallback.on_save\n"
        "def refuse_after_first(self, *args, **kwargs):\n"
        "    whole(self, *args, **kwargs)\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "callbacks.StageCallback.on_save = refuse_after_first\n"
        f"sys.argv = ['limbeck', 'distill', {str(run_file)!r}, '--set', 'output={run}']\n"
    ) + PROGRAM
    answer = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=240
    )
    assert answer.returncode == 2, answer.stderr
    assert "could not be written" in answer.stderr
    assert "the same command resumes a run from its last checkpoint" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list(run.glob("stages/*/checkpoints/*/limbeck.json"))
    code, errors = finish(start(run_file, run))
    assert code == 0, errors


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    from limbeck.errors import RunFolderError
    from limbeck.runs.config import run_config
    from limbeck.runs.folder import record_run
    from limbeck.types import SilentProgress

    (tmp_path / "run").mkdir()
    sections = text_sections(tmp_path)
    record_run(tmp_path / "run", run_config(sections), {"train": "a"}, SilentProgress())
    (tmp_path / "run" / "results.json").touch()
    sections["recipe"] = {"name": "kd", "label_weight": 0.0}
    with pytest.raises(RunFolderError, match=r"recipe\.label_weight was 0\.5, is 0(?!\.)"):
        limbeck.distill(**sections)
