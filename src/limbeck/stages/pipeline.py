"""Run one stage from the start, from its last checkpoint, or not at all if it is done."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from limbeck.atomic import guard_storage, replace_folder
from limbeck.errors import ConfigError
from limbeck.intact import Damage, open_seal, seal
from limbeck.losses.objective import Objective
from limbeck.losses.readout import ClassReadout, Readout
from limbeck.losses.term import WeightedTerm, needs_of
from limbeck.models.layers import set_dropout, word_embeddings
from limbeck.models.load import load_weights, save_model
from limbeck.numerics.energy import energy_meter
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.ranks import is_main, on_cpus, ranks, require_precision, wait_for_all
from limbeck.results import StageCost
from limbeck.sequences.mixing import mixing_for
from limbeck.stages.early_stopping import BestWeights, Judge
from limbeck.stages.kept_modules import keep_modules, load_kept_modules
from limbeck.stages.outer_loop import OuterLoop, require_outer_loop
from limbeck.stages.stage import SGD_MOMENTUM, Stage, Training, require_rows_together
from limbeck.stages.unfreezing import training_only
from limbeck.types import Batch, Progress, Sequences, Shapes, Teacher, Writer

if TYPE_CHECKING:
    from limbeck.stages.gradual_pruning import GradualPruning

__all__ = ["StageRun", "run_stage", "stage_title"]

_CHECKPOINTS, _DONE = "checkpoints", "done.json"
"""Written last, once a stage's weights are complete."""


@dataclass(frozen=True)
class StageRun:
    """Everything that running a stage needs besides the stage itself."""

    folder: Path
    """The stage's folder; holds checkpoints while it runs, then ``model/`` and ``done.json``."""
    log: Path
    system: str
    seed: int
    training: Training
    sequences: Sequences
    make_batch: Callable[[NDArray[np.int64]], Batch]
    progress: Progress
    title: str
    tokenizer: Any
    """Saved with the weights."""
    shapes: Shapes
    """Shapes of teacher and student, for layer maps."""
    teacher: Teacher | None = None
    """Gives signals; ``None`` if no term needs one."""
    readout: Readout = field(default_factory=ClassReadout)
    """The output of this kind of student."""
    writer: Writer | None = None
    """Generates texts while the stage runs; ``None``: it trains on its rows as they are."""
    outer: OuterLoop | None = None
    """Acts before each optimiser step; for a stage with `Stage.outer`."""
    stage: str = ""
    """The stage's name in the log and the costs; default: its own name."""
    head_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Rows that a stage with `Stage.fit_head` fits the head on; with `Stage.spreads` also unlabelled ones."""
    before: tuple[Path, ...] = ()
    """Folders of the student's earlier stages, in order."""
    unpruned: Callable[[], Any] | None = None
    """Makes the student with all units of its layers, for a stage that prunes it."""
    judge: Judge | None = None
    """How the model is measured on development rows; ``None``: the stage ends with its last weights."""

    def labels(self, stage: Stage) -> dict[str, Any]:
        """Return the first fields of log lines."""
        return {"stage": self.stage or stage.name, "system": self.system, "seed": self.seed}


def stage_title(stage: Stage, who: str, seed: int | None) -> str:
    """Return the progress bar's title for a stage of `who`; give `seed` if students of several seeds are trained."""
    return f"{who}: {stage.name}" + ("" if seed is None else f", seed {seed}")


def run_stage(stage: Stage, run: StageRun, student: Any) -> StageCost:
    """Train `student` in place and return its cost.

    A finished stage loads its weights and trains nothing, unless they are damaged: then it is trained again. An
    interrupted stage resumes from its last whole checkpoint; on a CPU its final weights are bit-identical to those of
    an uninterrupted run.

    Raises:
        NonFiniteLoss: a term became NaN or infinite.
        StorageError: the disk refused a write; the last checkpoint is kept.
    """
    if (finished := _finished(stage, run)) is not None:
        load_weights(student, run.folder / "model")
        return finished
    from limbeck.stages.callbacks import log_mark

    cost, terms = _train(stage, run, student) if stage.pruning is None else _prune(stage, run, student)
    if is_main():
        with replace_folder(run.folder / "model") as part:
            save_model(student, run.tokenizer, part)
            keep_modules(terms, part)
        log = log_mark(run.log, run.labels(stage), cost.steps)
        seal(run.folder / _DONE, {**cost.model_dump(), "log": log}, run.folder / "model")
        shutil.rmtree(run.folder / _CHECKPOINTS, ignore_errors=True)
    wait_for_all()
    load_weights(student, run.folder / "model")  # all ranks continue with exactly the same weights
    return cost


def _finished(stage: Stage, run: StageRun) -> StageCost | None:
    """Return the stage's cost, if its weights are there and intact."""
    from limbeck.stages.callbacks import check_log

    done = run.folder / _DONE
    if is_main() and done.exists():
        try:
            _cost(done, run.folder / "model")
        except Damage as damage:
            run.progress.log(f"{run.folder} is damaged: {damage}. The stage is trained again")
            done.unlink()
    wait_for_all()
    if not done.exists():
        return None
    if is_main():  # left by a stage that was killed right after its end
        shutil.rmtree(run.folder / _CHECKPOINTS, ignore_errors=True)
    cost, log = _cost(done, None)
    check_log(run.log, run.labels(stage), cost.steps, log, run.progress.log)
    return cost


def _cost(done: Path, model: Path | None) -> tuple[StageCost, str | None]:
    values = open_seal(done, model)
    log = values.pop("log", None)
    try:
        return StageCost.model_validate(values), log
    except ValidationError as error:
        raise Damage(f"{_DONE} is not what was written") from error


def _prune(stage: Stage, run: StageRun, student: Any) -> tuple[StageCost, tuple[WeightedTerm, ...]]:
    """Train what the student is before units are cut, cut them while it trains, and give the student what is left."""
    from limbeck.stages.gradual_pruning import GradualPruning

    assert run.unpruned is not None
    assert stage.pruning is not None
    pruning = GradualPruning(whole := run.unpruned().to(student.device), student, stage.pruning)
    with pruning.masks_on():
        found = _train(stage, run, whole, pruning)
    pruning.cut()
    return found


def _train(
    stage: Stage, run: StageRun, student: Any, pruning: GradualPruning | None = None
) -> tuple[StageCost, tuple[WeightedTerm, ...]]:
    """Train the student and return the cost of the stage, with its bound terms."""
    from limbeck.stages.callbacks import StageCallback, step_of
    from limbeck.stages.trainer import DistillTrainer

    assert (stage.outer is None) == (run.outer is None), "a stage's outer loop is missing, or not its own"
    assert run.shapes.similarity or not needs_of(stage.terms).similarity, "a layer map is a stand-in"
    if getattr(student, "adapter", None) is None:  # with an adapter they are frozen, whatever the run says
        word_embeddings(student).requires_grad_(not run.training.freeze_word_embeddings)
    if run.training.dropout is not None:
        set_dropout(student, run.training.dropout)
    checkpoints = run.folder / _CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    meter = energy_meter()
    best = None if run.judge is None else BestWeights(run.judge, checkpoints)
    with guard_storage(run.folder):
        checkpoint = _resumes_from(checkpoints, best, run.progress.log)
    fit_seconds = _seconds_of_fit(stage, run, student) if checkpoint is None else (0.0, 0.0)
    if not run.sequences.steps:
        return _cost_of_fit(stage, run, fit_seconds, meter), ()
    terms = stage.bound(run.shapes)
    load_kept_modules(terms, run.before, stage.name)
    done = step_of(checkpoint) if checkpoint is not None else 0
    watched = run.progress.track(run.title, run.sequences.steps, done)
    with watched as update, guard_storage(run.folder), training_only(student, stage.trains):
        writer = run.writer or mixing_for(needs_of(stage.terms), run.seed)
        callback = StageCallback(run.log, run.labels(stage), update, writer, best, run.outer)
        callback.resume(checkpoint, run.progress.log)
        callback.add_seconds(*fit_seconds)
        objective = Objective(student, terms, run.readout, trains_student=stage.trains_student)
        if pruning is not None:
            objective.pruning = pruning.state
        trainer = DistillTrainer(
            objective=objective,
            sequences=run.sequences,
            make_batch=run.make_batch,
            teacher=run.teacher,
            args=_arguments(run, checkpoints, stage),
            callbacks=[*([] if pruning is None else [pruning]), callback, *_tensorboard(run)],
            prompt_learning_rate=run.training.prompt_learning_rate,
            momentum=SGD_MOMENTUM if run.training.optim == "sgd" else None,
            writer=writer,
            outer=run.outer,
        )
        _keep_only_our_callbacks(trainer, callback)
        callback.trainer = trainer
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if best is not None:  # while the same parameters are frozen: an adapter's are kept without them
            best.load(student)
    costs = callback.costs()
    cost = StageCost(
        **run.labels(stage),
        seconds=costs["seconds"],
        cpu_seconds=costs["cpu_seconds"],
        steps=trainer.state.global_step,
        rows_seen=costs["rows"],
        tokens_seen=costs["tokens"],
        peak_memory_bytes=peak_memory_bytes(),
        # The meter saw only the last part of an interrupted stage.
        energy_kwh=meter.kwh() if meter is not None and checkpoint is None else None,
        gradient_bytes=callback.gradient_bytes,
        optimiser_bytes=_state_bytes(trainer.optimizer),
    )
    return cost, terms


def _resumes_from(checkpoints: Path, best: BestWeights | None, notify: Callable[[str], None]) -> Path | None:
    """Return the last whole checkpoint; all are deleted if it lacks the best weights of its step."""
    from limbeck.stages.callbacks import best_of, last_whole_checkpoint

    checkpoint = last_whole_checkpoint(checkpoints, notify)
    if checkpoint is None or best is None or best.is_there(best_of(checkpoint)):
        return checkpoint
    wait_for_all()  # all have looked
    if is_main():
        notify(f"{checkpoints}: the best weights of {checkpoint.name} are damaged. The stage starts again")
        shutil.rmtree(checkpoints)
        checkpoints.mkdir()
    wait_for_all()
    return None


def _seconds_of_fit(stage: Stage, run: StageRun, student: Any) -> tuple[float, float]:
    """Fit the head of a stage that starts, if it wants that; return how long it took, and CPU seconds."""
    from limbeck.stages.fit_head import fit_head

    started, cpu_started = time.perf_counter(), time.process_time()
    if stage.fit_head:
        fit_head(stage, run, student)
    return time.perf_counter() - started, time.process_time() - cpu_started


def _cost_of_fit(stage: Stage, run: StageRun, spent: tuple[float, float], meter: Any) -> StageCost:
    """Return the cost of a stage without steps, which took so many seconds and CPU seconds."""
    seconds, cpu_seconds = spent
    return StageCost(
        **run.labels(stage),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        steps=0,
        rows_seen=0,
        tokens_seen=0,
        peak_memory_bytes=peak_memory_bytes(),
        energy_kwh=meter.kwh() if meter is not None else None,
    )


def _state_bytes(optimizer: Any) -> int:
    """Return the bytes of an optimiser's state."""
    states = getattr(optimizer, "optimizer", optimizer).state.values()
    return sum(getattr(value, "nbytes", 0) for state in states for value in state.values())


def _keep_only_our_callbacks(trainer: Any, callback: Any) -> None:
    """Drop the base class's printers: progress and log are ours; experiment trackers stay."""
    from transformers import PrinterCallback, ProgressCallback

    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)


def _tensorboard(run: StageRun) -> list[Any]:
    """Return TensorBoard's callback for the run folder; by default it would write next to the checkpoints."""
    if "tensorboard" not in run.training.report_to or not is_main():
        return []
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(run.log.parent / "tensorboard" / run.folder.name)))]


def _arguments(run: StageRun, folder: Path, stage: Stage) -> Any:
    from transformers import TrainingArguments

    training = run.training
    devices = ranks()
    micro = training.micro_batch_size or max(1, training.batch_size // devices)
    require_rows_together(stage, micro, training.batch_size)
    require_outer_loop(stage, training, devices)
    per_step, rest = divmod(training.batch_size, micro * devices)
    if rest or not per_step:
        raise ConfigError(
            f"batch_size {training.batch_size} cannot be split into micro-batches of {micro} rows on {devices} "
            "devices: make batch_size a multiple of micro_batch_size times the number of devices"
        )
    require_precision(training.precision)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=run.sequences.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=per_step,
        learning_rate=training.learning_rate,
        # transformers' "constant" has no warm-up.
        lr_scheduler_type="constant_with_warmup" if training.schedule == "constant" else training.schedule,
        warmup_steps=round(training.warmup_ratio * run.sequences.steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim="sgd" if training.optim == "sgd" else "adamw_torch_fused",
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,  # a NaN must be seen, not averaged away
        save_strategy="steps",
        # At a logged step, so that no log line averages over steps before and after a restart.
        save_steps=math.ceil(run.sequences.steps / training.checkpoints / training.log_every) * training.log_every,
        save_total_limit=2,  # the one being written, and a whole one
        seed=run.seed,
        report_to=[name for name in training.report_to if name != "tensorboard"],
        use_cpu=on_cpus(),
        run_name=f"{run.folder.parents[1].name}-{stage.name}-seed{run.seed}",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    # Without a launcher, only one of several devices is used: transformers would split batches over threads of this
    # process (DataParallel), and with them the sums that losses are divided by.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
