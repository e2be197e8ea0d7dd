"""Callbacks of the training loop: the log, whole checkpoints, the finite-loss check, progress."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from limbeck.atomic import guard_storage, write_json, write_text
from limbeck.intact import Damage, checksum, open_seal, seal
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.ranks import is_main, rank, wait_for_all
from limbeck.stages.early_stopping import BestWeights
from limbeck.stages.outer_loop import OuterLoop
from limbeck.stages.trainer import DistillTrainer
from limbeck.types import Update, Writer

__all__ = ["StageCallback", "best_of", "check_log", "last_whole_checkpoint", "log_mark", "read_log", "step_of"]

_WHOLE = "limbeck.json"
"""Written last into a checkpoint: a checkpoint without it is incomplete and not resumed from."""


def last_whole_checkpoint(folder: Path, notify: Callable[[str], None]) -> Path | None:
    """Return the newest intact checkpoint; incomplete ones, and damaged ones that are newer, are deleted.

    Args:
        folder: folder of the stage's checkpoints.
        notify: receives a message about damage, and from where the stage resumes.
    """
    if is_main():
        _delete_unusable(folder, notify)
    wait_for_all()
    found = _checkpoints(folder)
    return found[-1] if found else None


def _delete_unusable(folder: Path, notify: Callable[[str], None]) -> None:
    damage = []
    for checkpoint in reversed(_checkpoints(folder)):
        try:
            if (checkpoint / _WHOLE).exists():
                open_seal(checkpoint / _WHOLE, checkpoint)
                break
        except Damage as found:
            damage.append(f"{checkpoint} is damaged: {found}")
        shutil.rmtree(checkpoint)
    else:
        checkpoint = None
    for words in damage:
        notify(f"{words}. The stage " + ("starts again" if checkpoint is None else f"resumes from {checkpoint.name}"))
    for older in _checkpoints(folder):
        if not (older / _WHOLE).exists():
            shutil.rmtree(older)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders of checkpoints, oldest first."""
    return sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return a checkpoint's number of optimiser steps."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def best_of(checkpoint: Path) -> dict[str, Any]:
    """Return what a whole checkpoint says of the best weights of its step; see `BestWeights.state`."""
    found: dict[str, Any] = open_seal(checkpoint / _WHOLE, None)["best"]
    return found


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a ``log.jsonl``; lines that are cut off or damaged are dropped."""
    lines: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, RecursionError):  # not JSON, or not UTF-8
                found = json.loads(line)
                lines += [found] if isinstance(found, dict) and isinstance(found.get("step"), int) else []
    return lines


def log_mark(path: Path, labels: dict[str, Any], steps: int) -> str:
    """Return the number of a stage's lines in a ``log.jsonl`` up to a step, and their checksum."""
    mine = [line for line in read_log(path) if _is_of(labels, line) and line["step"] <= steps]
    return f"{len(mine)} lines, {checksum(json.dumps(mine).encode()):08x}"


def check_log(path: Path, labels: dict[str, Any], steps: int, mark: str | None, notify: Callable[[str], None]) -> None:
    """Warn if a ``log.jsonl`` has lost lines of a stage; `mark` is an earlier `log_mark`, ``None`` if unknown."""
    if is_main() and mark is not None and mark != log_mark(path, labels, steps):
        notify(
            f"{path} is damaged: lines of stage '{labels['stage']}' are missing or changed. This affects the curves "
            "in the report but not the weights"
        )


def _is_of(labels: dict[str, Any], line: dict[str, Any]) -> bool:
    return all(line.get(name) == value for name, value in labels.items())


def _writer_file() -> str:
    """Return the name of this rank's file: each rank generates its own texts."""
    return f"writer-{rank()}.json"


class StageCallback(TrainerCallback):  # type: ignore[misc]
    """A callback for ``log.jsonl``, the costs of the stage over all restarts, and the progress bar.

    Args:
        log: the run's ``log.jsonl``.
        labels: first fields of each line (stage, system, seed).
        update: moves the progress bar by optimiser steps.
        writer: writer of the stage's texts, if any; its state goes into checkpoints.
        best: keeps the best weights by development rows, if they are judged.
        outer: the stage's outer loop, if any; its state goes into checkpoints.
    """

    def __init__(
        self,
        log: Path,
        labels: dict[str, Any],
        update: Update,
        writer: Writer | None = None,
        best: BestWeights | None = None,
        outer: OuterLoop | None = None,
    ) -> None:
        self._writer = writer
        self._outer = outer
        self._best = best
        self._log = log
        self._labels = labels
        self._update = update
        self.trainer: DistillTrainer | None = None
        self._before = {"seconds": 0.0, "cpu_seconds": 0.0, "rows": 0, "tokens": 0, "positions": 0}
        self._terms: dict[str, Any] = {}
        self._started, self._cpu_started = time.perf_counter(), time.process_time()
        self._note = ""
        self.gradient_bytes: int | None = None
        """Bytes of the first step's gradients."""

    def resume(self, checkpoint: Path | None, notify: Callable[[str], None]) -> None:
        """Restore the costs of `checkpoint`, and drop log lines after it; without one, drop all."""
        step = -1
        if checkpoint is not None:
            state = open_seal(checkpoint / _WHOLE, None)
            step = int(state["step"])
            self._before = {name: state.get(name, 0) for name in self._before}
            check_log(self._log, self._labels, step, state.get("log"), notify)
            self._terms = state["terms"]
            self.gradient_bytes = state.get("gradient_bytes")
            if self._best is not None:
                self._best.restore(state["best"])
            if self._writer is not None:
                self._writer.restore(json.loads((checkpoint / _writer_file()).read_text(encoding="utf-8")))
            if self._outer is not None:
                self._outer.load(checkpoint)
        kept = [line for line in read_log(self._log) if not _is_of(self._labels, line) or line["step"] <= step]
        if is_main():
            write_text(self._log, "".join(json.dumps(line) + "\n" for line in kept))

    def add_seconds(self, seconds: float, cpu_seconds: float) -> None:
        """Count time that the stage spent before its first step."""
        self._before["seconds"] += seconds
        self._before["cpu_seconds"] += cpu_seconds

    def costs(self) -> dict[str, Any]:
        """Return seconds, CPU seconds of this process, rows, tokens and positions (tokens and padding) of this stage.

        They are those so far, restarts included.
        """
        assert self.trainer is not None
        return {
            "seconds": self._before["seconds"] + time.perf_counter() - self._started,
            "cpu_seconds": self._before["cpu_seconds"] + time.process_time() - self._cpu_started,
            "rows": self._before["rows"] + self.trainer.rows_seen,
            "tokens": self._before["tokens"] + self.trainer.tokens_seen,
            "positions": self._before["positions"] + self.trainer.positions_seen,
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started, self._cpu_started = time.perf_counter(), time.process_time()
        if self._terms:
            assert self.trainer is not None
            self.trainer.restore_terms(self._terms)
        if state.global_step == 0:
            self._judge(state)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        assert self.trainer is not None
        if self.gradient_bytes is None:
            gradients = [p.grad for p in self.trainer.model.parameters() if p.grad is not None]
            self.gradient_bytes = sum(gradient.nbytes for gradient in gradients)
        self.trainer.require_finite()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        assert self.trainer is not None
        self.trainer.end_step()
        self._update(1, self._note)
        self._judge(state)
        if self._best is not None and self._best.stops:
            control.should_training_stop = True
            control.should_save = False  # a stage that resumes from here would go on

    def _judge(self, state: Any) -> None:
        """Measure the model on development rows where it is time to, and log what was found."""
        if self._best is None:
            return
        assert self.trainer is not None
        values = self._best.judge(self.trainer.model.student, state.global_step, state.max_steps)
        if values and state.is_world_process_zero:
            self._write({"step": state.global_step, **{f"dev/{name}": value for name, value in values.items()}})

    def _write(self, line: dict[str, Any]) -> None:
        """Add a line to the log."""
        with guard_storage(self._log), self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**self._labels, **line}) + "\n")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        self._note = f"loss {logs['loss']:.4f}"
        costs = self.costs()
        line = {
            "step": state.global_step,
            **{name: value for name, value in logs.items() if name != "epoch"},
            "tokens_per_second": round(costs["tokens"] / max(costs["seconds"], 1e-9), 1),
            "padding": round(1 - costs["tokens"] / max(costs["positions"], 1), 4),
            "seconds": round(costs["seconds"], 2),
            "memory_bytes": peak_memory_bytes(),
        }
        self._write(line)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoint = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        if self._writer is not None:
            write_json(checkpoint / _writer_file(), self._writer.state())
        if self._outer is not None:
            self._outer.save(checkpoint)
        wait_for_all()
        if state.is_world_process_zero:
            assert self.trainer is not None
            log = log_mark(self._log, self._labels, state.global_step)
            whole = {
                "step": state.global_step,
                **self.costs(),
                "terms": self.trainer.term_states(),
                "gradient_bytes": self.gradient_bytes,
                "log": log,
            }
            if self._best is not None:
                whole["best"] = self._best.state()
            seal(checkpoint / _WHOLE, whole, checkpoint)
            if self._best is not None:
                self._best.forget(best_of(one) for one in _checkpoints(checkpoint.parent) if (one / _WHOLE).exists())
