"""A classification run from beginning to end: the step-by-step flow of `limbeck distill`.

Cross-lingual runs are in `limbeck.runs.languages`.

    rows -> teacher (fine-tuned first, if asked) -> its signals -> for each seed: student before,
    distilled student, same-budget fine-tuned student -> figures -> report and student folder

Every step leaves its work in the run folder and finds it there again, so a run that was killed at any
moment goes on with the same command.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import guard_storage
from limbeck.data.encode import Encoded, encode_rows, token_limit
from limbeck.errors import ConfigError, ModelError
from limbeck.evaluation.predict import length_sorted_batches, predict_logits
from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.losses.combine import bind_terms, needs_of
from limbeck.models.layers import shapes, width
from limbeck.models.load import weights_fingerprint
from limbeck.ranks import device, is_main, wait_for_all
from limbeck.recipes.catalogue import build_recipe
from limbeck.results import Results, StageCost, SystemName
from limbeck.runs.config import AnyRun, RunConfig, run_config
from limbeck.runs.folder import hold, record_run
from limbeck.runs.language_config import LanguageRunConfig
from limbeck.runs.languages import run_languages
from limbeck.runs.outcome import Outcome, write_outcome
from limbeck.runs.prepare import (
    RunRows,
    budget_steps,
    compares_fine_tuned,
    make_student,
    read_rows,
    require_labels,
    start_teacher,
    student_tokenizer,
)
from limbeck.runs.text_config import TextRunConfig
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.pipeline import StageRun, run_stage, stage_title
from limbeck.stages.stage import Stage, Training
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher, can_store, open_signals, store_signals
from limbeck.types import Batch, Needs, Progress, Shapes, SilentProgress

__all__ = ["distill", "run"]

_STORE_LIMIT_BYTES = 8 * 2**30
"""Larger signals are not kept: the teacher then runs along with the student."""
_TEACHER_BATCH_ROWS = 32


def distill(*, progress: Progress | None = None, **sections: Any) -> Results | LanguageResults | GenerationResults:
    """Distil a teacher into a student; the same words as a run file, as keyword arguments.

    Args:
        progress: shows how far it is; silent by default.
        **sections: ``task``, ``data``, ``teacher``, ``student``, ``recipe``, ``training``, ``seeds``,
            ``compare_fine_tuned``, ``output``, as mappings or as the section objects of
            `limbeck.runs.config`; those of a cross-lingual run are in `limbeck.runs.language_config`.

    Returns:
        All figures of the run. Student and report are in the folder `output`.

    Raises:
        LimbeckError: something the caller can put right; the message says what.

    Example:
        >>> limbeck.distill(  # doctest: +SKIP
        ...     data={"train": "tickets.jsonl"},
        ...     teacher={"model": "org/encoder", "fine_tune": {"epochs": 3}},
        ...     student={"from_teacher": {"layers": "spread", "keep": 3}},
        ...     recipe={"name": "word_level_kd", "label_weight": 0},
        ...     output="runs/tickets",
        ... )
    """
    return run(run_config(sections), progress=progress or SilentProgress())


def run(config: AnyRun, *, progress: Progress, command: str = "") -> Results | LanguageResults | GenerationResults:
    """Carry out a checked run of either kind; see `distill`."""
    if isinstance(config, LanguageRunConfig):
        return run_languages(config, progress=progress, command=command)
    if isinstance(config, TextRunConfig):
        from limbeck.runs.texts import run_texts

        return run_texts(config, progress=progress, command=command)
    return _distill_classifier(config, progress=progress, command=command)


def _distill_classifier(config: RunConfig, *, progress: Progress, command: str) -> Results:
    folder = Path(config.output)
    stages = config.recipe.stages()
    with hold(folder):
        rows = read_rows(config, folder if is_main() else None)
        require_labels(config, stages, rows)
        record_run(folder, config, rows.fingerprints)
        bench = _set_up(config, folder, rows, progress)
        _require_fitting(bench, stages)
        _fine_tune_teacher(bench)
        bench.teacher.to(device())
        teacher = _teacher_signals(bench, stages)
        bench.predict("teacher", config.seeds[0], lambda: bench.teacher)
        for seed in config.seeds:
            _train_students(bench, stages, teacher, seed)
        outcome = Outcome(
            config=config,
            folder=folder,
            rows=rows,
            teacher=bench.teacher,
            student=bench.student,
            tokenizer=bench.student_tokenizer,
            max_length=bench.max_length,
            encoded_for_teacher=bench.test_for_teacher,
            encoded_for_student=bench.test_for_student,
            logits=bench.logits,
            costs=bench.costs,
            command=command or f"limbeck distill {folder / 'run.yaml'}",
        )
        return write_outcome(outcome, progress)


@dataclass
class _Bench:
    """What the steps of one run share."""

    config: RunConfig
    folder: Path
    rows: RunRows
    progress: Progress
    teacher: Any
    teacher_tokenizer: Any
    student_tokenizer: Any
    max_length: int
    train_for_teacher: Encoded
    train_for_student: Encoded
    test_for_teacher: Encoded
    test_for_student: Encoded
    student: Any = None
    costs: list[StageCost] = field(default_factory=list)
    logits: dict[SystemName, dict[int, NDArray[np.float32]]] = field(default_factory=dict)

    @property
    def same_tokens(self) -> bool:
        """Whether both models read the same ids at the same places, on the rows of this very run."""
        teacher, student = self.train_for_teacher, self.train_for_student
        return teacher.fingerprint() == student.fingerprint() and teacher.pad_left == student.pad_left

    def batch_maker(self, encoded: Encoded, teacher_encoded: Encoded | None) -> Callable[[NDArray[np.int64]], Batch]:
        """Return the function that builds the batch of given training rows."""
        import torch

        labels = torch.from_numpy(self.rows.train_labels)

        def make_batch(row_numbers: NDArray[np.int64]) -> Batch:
            picked = torch.from_numpy(np.asarray(row_numbers))
            batch: Batch = {"student": encoded.batch(row_numbers), "labels_B": labels[picked], "rows_B": picked}
            if teacher_encoded is not None:
                batch["teacher"] = teacher_encoded.batch(row_numbers)
            return batch

        return make_batch

    def train(
        self,
        stage: Stage,
        *,
        model: Any,
        system: SystemName,
        seed: int,
        steps: int,
        number: int,
        training: Training | None = None,
        teacher: StoredTeacher | LocalTeacher | None = None,
    ) -> None:
        """Run one stage on `model` in place and keep its cost."""
        for_teacher = system == "teacher"
        encoded = self.train_for_teacher if for_teacher else self.train_for_student
        training = training or self.config.training
        rows = _stage_rows(stage, self.rows.train_labels)
        live = isinstance(teacher, LocalTeacher)
        self.costs.append(
            run_stage(
                stage,
                StageRun(
                    folder=self.folder / "stages" / f"{number:02d}-{system}-{stage.name}-seed{seed}",
                    log=self.folder / "log.jsonl",
                    system=system,
                    seed=seed,
                    training=training,
                    sequences=FixedSequences(rows, encoded.lengths, training.batch_size, steps, seed),
                    make_batch=self.batch_maker(encoded, self.train_for_teacher if live else None),
                    progress=self.progress,
                    title=stage_title(stage, system, seed if len(self.config.seeds) > 1 else None),
                ),
                student=model,
                tokenizer=self.teacher_tokenizer if for_teacher else self.student_tokenizer,
                teacher=teacher,
                shapes=shapes(self.teacher, model),
            )
        )

    def predict(self, system: SystemName, seed: int, model: Callable[[], Any]) -> None:
        """Predict the held-out rows, or read the prediction that an earlier start of this run made."""
        path = self.folder / "predictions" / f"{system}-seed{seed}.npy"
        if is_main() and not path.exists():
            encoded = self.test_for_teacher if system == "teacher" else self.test_for_student
            with self.progress.track(f"predicting: {system.replace('_', ' ')}", len(self.rows.test)) as advance:
                logits = predict_logits(model(), encoded, advance=advance)
            with guard_storage(path):
                path.parent.mkdir(exist_ok=True)
                part = path.with_suffix(".part.npy")
                np.save(part, logits)
                part.replace(path)
        wait_for_all()
        self.logits.setdefault(system, {})[seed] = np.load(path)


def _set_up(config: RunConfig, folder: Path, rows: RunRows, progress: Progress) -> _Bench:
    """Load the models, check that they can do the run, and tokenise all rows."""
    teacher, teacher_tokenizer = start_teacher(config, rows.labels)
    tokenizer = student_tokenizer(config, teacher_tokenizer)
    student = make_student(config, teacher, rows.labels, config.seeds[0])
    wanted = config.training.max_length
    max_length = min(token_limit(teacher_tokenizer, teacher, wanted), token_limit(tokenizer, student, wanted))
    progress.say(f"{len(rows.train)} training rows ({rows.labelled} labelled), {len(rows.test)} held-out rows")
    train, test = (encode_rows(part, teacher_tokenizer, max_length) for part in (rows.train, rows.test))
    same = tokenizer is teacher_tokenizer
    return _Bench(
        config=config,
        folder=folder,
        rows=rows,
        progress=progress,
        teacher=teacher,
        teacher_tokenizer=teacher_tokenizer,
        student_tokenizer=tokenizer,
        max_length=max_length,
        train_for_teacher=train,
        test_for_teacher=test,
        train_for_student=train if same else encode_rows(rows.train, tokenizer, max_length),
        test_for_student=test if same else encode_rows(rows.test, tokenizer, max_length),
        student=student,
    )


def _fine_tune_teacher(bench: _Bench) -> None:
    """Fine-tune a pretrained teacher on the labelled rows: a stage like any other, saved and reusable."""
    training = bench.config.teacher.fine_tune
    if training is None:
        return
    (stage,) = build_recipe("fine_tune", {})
    seed = bench.config.seeds[0]
    steps = training.total_steps(bench.rows.labelled)
    bench.train(stage, model=bench.teacher, system="teacher", seed=seed, steps=steps, number=1, training=training)


def _require_fitting(bench: _Bench, stages: list[Stage]) -> None:
    """Check widths, layer maps and tokenizers of this pair of models, before any time is spent."""
    pair = shapes(bench.teacher, bench.student)
    for stage in stages:
        needs = needs_of(bind_terms(stage.terms, pair))
        if needs.same_tokens and not bench.same_tokens:
            raise ConfigError(
                f"recipe '{bench.config.recipe.name}' compares teacher and student token by token, but their "
                "tokenizers write tokens with different ids. Use a student with the teacher's tokenizer "
                "(student.from_teacher), or a recipe on class logits (word_level_kd), which does not mind"
            )


def _teacher_signals(bench: _Bench, stages: list[Stage]) -> StoredTeacher | LocalTeacher | None:
    """Compute the small signals once and keep them; a large kind of signal is asked of the teacher live."""
    pair = shapes(bench.teacher, bench.student)
    needs = _all_needs(stages, pair)
    if not needs.teacher:
        return None
    teacher = LocalTeacher(bench.teacher)
    rows = len(bench.rows.train)
    if not can_store(
        needs, rows=rows, classes=len(bench.rows.labels), width=width(bench.teacher), limit_bytes=_STORE_LIMIT_BYTES
    ):
        return teacher
    make_batch = bench.batch_maker(bench.train_for_student, bench.train_for_teacher)
    kinds = f"logits={needs.logits} first={sorted(needs.teacher_first)} batch={_TEACHER_BATCH_ROWS}"
    folder = bench.folder / "signals"
    if is_main():
        store_signals(
            teacher,
            needs=needs,
            batches=list(length_sorted_batches(bench.train_for_teacher.lengths, _TEACHER_BATCH_ROWS)),
            make_batch=make_batch,
            rows=rows,
            folder=folder,
            fingerprint=f"{weights_fingerprint(bench.teacher)} {bench.train_for_teacher.fingerprint()} {kinds}",
            progress=bench.progress,
        )
    wait_for_all()
    stored = open_signals(folder, needs)
    bench.costs.append(_signal_cost(bench, stored))
    if needs.logits:
        _require_useful_teacher(bench, stored)
    return stored


def _require_useful_teacher(bench: _Bench, stored: StoredTeacher) -> None:
    """Refuse a teacher that does no better than guessing on the labelled training rows.

    Raises:
        ModelError: its accuracy is at most the share of the most frequent label, and its loss at least ln C.
    """
    rows = np.flatnonzero(bench.rows.train_labels >= 0)
    if not len(rows):
        return
    gold, log_probs = bench.rows.train_labels[rows], stored.log_probs(rows)
    accuracy = float((log_probs.argmax(axis=-1) == gold).mean())
    loss = float(-log_probs[np.arange(len(gold)), gold].mean())
    most_frequent = np.bincount(gold).max() / len(gold)
    if accuracy <= most_frequent and loss >= np.log(len(bench.rows.labels)):
        raise ModelError(
            f"the teacher is right on {accuracy:.1%} of {len(rows)} labelled training rows, no better than always "
            f"giving the most frequent label ({most_frequent:.1%}). Check that it was trained for this task and that "
            "task.labels are in the order of its logits, or fine-tune it longer (teacher.fine_tune)"
        )


def _all_needs(stages: list[Stage], pair: Shapes) -> Needs:
    needs = Needs()
    for stage in stages:
        needs = needs | needs_of(bind_terms(stage.terms, pair))
    return needs


def _signal_cost(bench: _Bench, stored: StoredTeacher) -> StageCost:
    from limbeck.numerics.memory import peak_memory_bytes

    return StageCost(
        stage="teacher_signals",
        system="teacher",
        seed=bench.config.seeds[0],
        seconds=stored.seconds,
        steps=0,
        rows_seen=len(bench.rows.train),
        tokens_seen=int(bench.train_for_teacher.lengths.sum()),
        peak_memory_bytes=peak_memory_bytes(),
    )


def _train_students(
    bench: _Bench, stages: list[Stage], teacher: StoredTeacher | LocalTeacher | None, seed: int
) -> None:
    """Train this seed's students from one and the same start: by the recipe, and by labels alone."""
    config, rows = bench.config, bench.rows
    student = bench.student = make_student(config, bench.teacher, rows.labels, seed)
    start = copy.deepcopy(student.state_dict())
    student.to(device())
    bench.predict("student_before", seed, lambda: student)
    total = budget_steps(config, rows)
    for number, (stage, steps) in enumerate(zip(stages, _split_steps(stages, total), strict=True), start=2):
        bench.train(stage, model=student, system="distilled", seed=seed, steps=steps, number=number, teacher=teacher)
    bench.predict("distilled", seed, lambda: student)
    if compares_fine_tuned(config, rows):
        distilled = copy.deepcopy(student.state_dict())
        student.load_state_dict(start)
        (stage,) = build_recipe("fine_tune", {})
        number = len(stages) + 2
        bench.train(stage, model=student, system="fine_tuned", seed=seed, steps=total, number=number)
        bench.predict("fine_tuned", seed, lambda: student)
        student.load_state_dict(distilled)


def _stage_rows(stage: Stage, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(labels >= 0) if stage.rows == "labelled" else np.arange(len(labels))


def _split_steps(stages: list[Stage], total: int) -> list[int]:
    """Split the budget by the stages' shares; the parts add up to `total`, the budget of every system."""
    ends = [round(total * sum(stage.share for stage in stages[: i + 1])) for i in range(len(stages))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
