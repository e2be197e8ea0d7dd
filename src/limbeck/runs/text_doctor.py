"""Find the usual reasons for a bad distillation of a writing student before the money is spent.

Each check answers one question about the run and returns findings; nothing is trained or written.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.errors import LimbeckError
from limbeck.evaluation.generation.run_models import reference_sums
from limbeck.losses.combine import bind_terms
from limbeck.losses.tokens import TokenObjective
from limbeck.models.layers import shapes
from limbeck.recipes.sft import sft
from limbeck.runs.doctor import Finding
from limbeck.runs.text_bench import TextBench, set_up
from limbeck.runs.text_config import TextRunConfig
from limbeck.runs.text_data import TextRows, leaked_texts, read_texts
from limbeck.runs.text_store import stored_teacher
from limbeck.sequences.rollouts import Rollouts
from limbeck.types import Progress

__all__ = ["examine_texts"]

_SAMPLE_ROWS = 64
_TIMED_ROWS = 8
_MANY_CUT = 0.05
_GUESSING = 0.95
"""A loss of this share of log V says that a model has learnt nothing."""


def examine_texts(config: TextRunConfig, progress: Progress) -> list[Finding]:
    """Return the findings on a run on texts: rows, layout, vocabulary, losses, memory and the expected time.

    Faults that make later checks impossible end the examination.
    """
    try:
        rows = read_texts(config)
    except LimbeckError as error:
        return [Finding("fault", "data", str(error))]
    counted = f"{len(rows.train)} training rows ({rows.completed} with completions), {len(rows.test)} held-out rows"
    findings = [Finding("ok", "data", f"{counted}, {rows.left_out} left out"), *_repeated(rows)]
    try:
        bench = set_up(config, Path(config.output), rows, progress)
    except LimbeckError as error:
        return [*findings, Finding("fault", "models and layout", str(error))]
    findings += [*_layout(bench), *_vocabulary(bench), *_end_token(bench), *_rounds(bench)]
    if config.teacher.store is not None:
        findings += _store(bench)
    with progress.track("teacher and student on a sample", 2) as advance:
        findings += _losses(bench)
        advance(1)
        findings += _time_and_memory(bench)
        advance(1)
    return findings


def _repeated(rows: TextRows) -> list[Finding]:
    findings = []
    if rows.train.duplicates:
        findings.append(Finding("note", "duplicates", f"{rows.train.duplicates} training rows repeat another"))
    if leaked := leaked_texts(rows):
        advice = "the report will be too good; take them out of one of the two"
        findings.append(
            Finding(
                "warning", "leaks", f"{len(leaked)} held-out rows are training rows too, e.g. {leaked[0]}: {advice}"
            )
        )
    return findings or [Finding("ok", "duplicates", "no repeated rows, none in both training and held-out data")]


def _layout(bench: TextBench) -> list[Finding]:
    encoded = bench.train_rows
    tokens = f"{int(encoded.supervised.sum()):,} of {int(encoded.lengths.sum()):,} tokens are learnt"
    longest = f"rows have up to {int(encoded.lengths.max())} of {bench.max_length} tokens"
    findings = [Finding("ok", "layout", f"{tokens}; {longest}")]
    for finding in encoded.findings:
        cut = encoded.truncated > _MANY_CUT * len(bench.rows.train) and "lose their beginning" in finding
        findings.append(Finding("warning" if cut or "end token" in finding else "note", "layout", finding))
    return findings


def _vocabulary(bench: TextBench) -> list[Finding]:
    if bench.vocabulary is None:
        return [
            Finding("note", "vocabulary", "different tokenizers: the student reads the teacher's text, not its ids")
        ]
    rows = [int(m.get_output_embeddings().weight.shape[0]) for m in (bench.teacher, bench.new_student(0))]
    padded = f", of {rows[0]} and {rows[1]} rows of logits" if set(rows) != {bench.vocabulary} else ""
    return [Finding("ok", "vocabulary", f"teacher and student know the same {bench.vocabulary:,} tokens{padded}")]


def _end_token(bench: TextBench) -> list[Finding]:
    encoded = bench.train_rows
    own = bench.teacher.generation_config.eos_token_id
    stops = set(own if isinstance(own, list) else [own] if own is not None else [])
    names = ", ".join(bench.student_tokenizer.convert_ids_to_tokens(list(encoded.end_ids)))
    if stops and not stops & set(encoded.end_ids):
        theirs = ", ".join(bench.student_tokenizer.convert_ids_to_tokens(sorted(stops)))
        return [
            Finding("warning", "end token", f"completions end with {names}, and the teacher's own texts with {theirs}")
        ]
    return [Finding("ok", "end token", f"completions end with {names}")]


def _rounds(bench: TextBench) -> list[Finding]:
    """A round of rollouts is written before its first step: a stage shorter than one uses them once only."""
    training = bench.config.training
    total = training.total_steps(bench.budget_rows)
    for stage in bench.config.recipe.made().stages:
        if isinstance(stage.written, Rollouts):
            steps = round(stage.share * total)
            of_round = max(1, stage.written.prompts // training.batch_size) * stage.written.epochs
            if steps < of_round:
                words = f"the stage has {steps} steps, and one round of texts is trained on for {of_round}"
                return [Finding("warning", "rounds", f"{words}: set fewer recipe.prompts or more steps")]
    return []


def _store(bench: TextBench) -> list[Finding]:
    try:
        stored_teacher(bench)
    except LimbeckError as error:
        return [Finding("fault", "store", str(error))]
    return [Finding("ok", "store", f"{bench.config.teacher.store} has every training row")]


def _losses(bench: TextBench) -> list[Finding]:
    """Is the teacher's loss on the user's own rows better than guessing, and than the student's?"""

    def advance(_: int, note: str = "") -> None:
        pass

    sample = _some_rows(bench)
    found: dict[str, float] = {}
    models = {"teacher": bench.teacher, "student": bench.new_student(bench.config.seeds[0])}
    for name, model in models.items():
        sums = reference_sums(model, sample[name], vocabulary=bench.vocabulary, advance=advance)
        assert sums.nll_sum_N is not None
        found[name] = float(sums.nll_sum_N.sum() / sums.tokens_N.sum())
    words = (
        f"loss per token on {_SAMPLE_ROWS} rows: teacher {found['teacher']:.2f}, student {found['student']:.2f} nats"
    )
    guessing = float(np.log(bench.vocabulary or bench.teacher.config.vocab_size))
    if bench.config.teacher.fine_tune is not None:
        return [Finding("note", "losses", f"{words}, before the teacher is fine-tuned")]
    if found["teacher"] >= _GUESSING * guessing:
        return [Finding("fault", "losses", f"{words}; guessing gives {guessing:.2f}: the teacher has learnt nothing")]
    if found["teacher"] > found["student"]:
        return [Finding("fault", "losses", f"{words}: the teacher is worse than the student. Check the template")]
    return [Finding("ok", "losses", words)]


def _some_rows(bench: TextBench) -> dict[str, Any]:
    from limbeck.data.generation.rewritten import take_rows

    rows = bench.completed_rows[:_SAMPLE_ROWS]
    teachers = np.flatnonzero(bench.train_for_teacher.supervised > 0)[:_SAMPLE_ROWS]
    return {"teacher": take_rows(bench.train_for_teacher, teachers), "student": take_rows(bench.train_rows, rows)}


def _time_and_memory(bench: TextBench) -> list[Finding]:
    """Time a few training rows; what writing adds is not in it."""
    student = bench.new_student(bench.config.seeds[0])
    parameters = {name: sum(p.numel() for p in m.parameters()) for name, m in
                  (("teacher", bench.teacher), ("student", student))}  # fmt: skip
    # Weights and gradient, two moments of Adam; the teacher's weights alone.
    fixed = 4 * (4 * parameters["student"] + parameters["teacher"])
    (stage,) = sft().stages
    objective = TokenObjective(student, bind_terms(stage.terms, shapes(bench.teacher, student)), bench.vocabulary)
    rows = bench.completed_rows[np.argsort(bench.train_rows.lengths[bench.completed_rows])]
    picked = rows[:: max(1, len(rows) // _TIMED_ROWS)][:_TIMED_ROWS]
    batch = bench.train_rows.batch(picked)
    batch["rows_B"], batch["written_by_B"] = torch.from_numpy(picked), torch.zeros(len(picked), dtype=torch.int64)
    student.train()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        loss, _parts = objective(batch, objective.count([batch]))
        loss.backward()
        seconds.append((time.perf_counter() - started) / len(picked))
    training, seeds = bench.config.training, len(bench.config.seeds)
    steps = training.total_steps(bench.budget_rows)
    students = 2 if bench.compares_fine_tuned else 1
    minutes = min(seconds) * steps * training.batch_size * students * seeds / 60
    return [
        Finding("note", "memory", f"weights, gradients and optimiser states take {fixed / 2**30:.2f} GiB"),
        Finding(
            "note", "time",
            f"{steps} steps for each of {students * seeds} students: about {max(1, round(minutes))} min on this "
            "machine, without the teacher and without writing",
        ),
    ]  # fmt: skip
