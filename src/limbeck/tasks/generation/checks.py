"""Find the usual reasons for a bad distillation of a generative student before money is spent.

Each check returns findings on one aspect of the run; nothing is trained or written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.data.generation.collate import packed_groups
from limbeck.data.generation.rewritten import take_rows
from limbeck.data.generation.templates import uses_chat_template
from limbeck.errors import LimbeckError
from limbeck.evaluation.generation.run_models import reference_sums
from limbeck.formatting import share_text
from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout
from limbeck.losses.term import bind_terms
from limbeck.models.chat_template import writes_date
from limbeck.models.layers import shapes
from limbeck.numerics.memory import device_memory_bytes
from limbeck.numerics.memory_plan import readable, total_bytes
from limbeck.ranks import device
from limbeck.recipes.fine_tune import fine_tune
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.rollouts import Rollouts
from limbeck.students.initialise import copies_note
from limbeck.tasks.baselines import all_stages, trained
from limbeck.tasks.dev_rows import search_notes
from limbeck.tasks.finding import Finding, InFolder, unreadable
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.context import Context, set_up
from limbeck.tasks.generation.dates import with_text_date
from limbeck.tasks.generation.importance import measured_importance
from limbeck.tasks.generation.memory import step_memory
from limbeck.tasks.generation.rows import TextRows, dev_warnings, leaked_texts, read_texts
from limbeck.tasks.generation.settings import end_tokens_of, own_end_tokens
from limbeck.tasks.generation.store import stored_teacher
from limbeck.tasks.layer_similarity import similarity_findings
from limbeck.types import Progress

__all__ = ["examine_texts"]

_SAMPLE_ROWS = 64
_TIMED_ROWS = 8
_PLANNED_STEPS = 20
_MANY_CUT = 0.05
_ROOM = 0.9
"""Share of a device's memory that a step may use; the rest goes to fragments and libraries."""
_NOT_OF_WRITING = ("bos_", "eos_", "pad_", "decoder_", "transformers_", "_", "output_", "return_", "use_", "cache")
"""Prefixes of generation settings that do not change the generated words."""
_GUESSING = 0.95
"""A loss of at least this share of log V means that a model has learnt nothing."""


def examine_texts(config: TextRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
    """Return the findings on a generation run: rows, layout, vocabulary, losses, memory and the expected time.

    Faults that make later checks impossible end the examination.
    """
    try:
        rows = read_texts(config)
    except LimbeckError as error:
        return [unreadable(error), *in_folder(config)]
    counted = f"{len(rows.train)} training rows ({rows.completed} with completions), {len(rows.test)} held-out rows"
    findings = [Finding("ok", "data", f"{counted}, {rows.left_out} left out"), *_repeated(config, rows)]
    findings += search_notes(config, len(rows.dev or ()))
    try:
        config = with_text_date(config, Path(config.output))
        findings += in_folder(config, rows.fingerprints)
        rows = rows.laid_out_as(config.task)
        context = set_up(config, Path(config.output), rows, progress)
    except LimbeckError as error:
        return [*findings, Finding("fault", "models and layout", str(error))]
    pruned = config.student.pruned is not None and config.teacher.fine_tune is None
    importance = measured_importance(context) if pruned else None
    student = context.new_student(config.seeds[0], importance).to(device())
    findings += [Finding("warning", "layers", note) for note in [copies_note(student)] if note is not None]
    findings += similarity_findings(config)
    findings += [_template(context), *_layout(context), *_padding(context), _vocabulary(context, student)]
    findings += [*_end_token(context, student), *_own_settings(context, student), *_rounds(context)]
    if config.teacher.store is not None:
        findings += _store(context)
    with progress.track("teacher and student on a sample", 2) as update:
        findings.append(_losses(context, student))
        update(1)
        prunes = any(stage.pruning is not None for stage in all_stages(config.recipes()))
        widest = context.new_student(config.seeds[0], whole=True).to(device()) if prunes else student
        findings += [_memory(context, widest), _time(context, widest)]
        update(1)
    return findings


def _repeated(config: TextRunConfig, rows: TextRows) -> list[Finding]:
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
    findings += [Finding("warning", "leaks", words) for words in dev_warnings(config, rows)]
    return findings or [Finding("ok", "duplicates", "no repeated rows, none in both training and held-out data")]


def _template(context: Context) -> Finding:
    """Report the template of rows, and which of their tokens are learnt."""
    task = context.config.task
    if task.text is not None:
        return Finding("ok", "template", "plain text: every token but a row's first is learnt")
    causal = context.train_rows.decoder_start is None
    if uses_chat_template(task, context.student_tokenizer, encoder_decoder=not causal):
        words = "the tokenizer's chat template; only the assistant's tokens are learnt"
        if writes_date(context.student_tokenizer):
            return Finding(
                "note", "template", f"{words}. It writes today's date; in this run always {task.date} "
                "(task.date)",
            )  # fmt: skip
        return Finding("ok", "template", words)
    between = repr(task.separator) if causal else "encoder and decoder"
    return Finding("ok", "template", f"prompt, {between}, completion; only the completion's tokens are learnt")


def _layout(context: Context) -> list[Finding]:
    encoded = context.train_rows
    tokens = f"{int(encoded.supervised.sum()):,} of {int(encoded.lengths.sum()):,} tokens are learnt"
    longest = f"rows have up to {int(encoded.lengths.max())} of {context.max_length} tokens"
    cut_share = f"{share_text(encoded.truncated / len(context.rows.train))} of them are cut to fit"
    findings = [Finding("ok", "layout", f"{tokens}; {longest}, {cut_share}")]
    for finding in encoded.findings:
        cut = encoded.truncated > _MANY_CUT * len(context.rows.train) and "lose their beginning" in finding
        findings.append(Finding("warning" if cut or "end token" in finding else "note", "layout", finding))
    return findings


def _padding(context: Context) -> list[Finding]:
    """Report the share of padding, with and without packing, over the first steps of the run."""
    training, encoded, rows = context.config.training, context.train_rows, context.completed_rows
    if not len(rows) or encoded.decoder_start is not None:
        return []
    plan = FixedSequences(rows, encoded.lengths, training.batch_size, _PLANNED_STEPS, context.config.seeds[0])
    sums = {"packed": [0, 0], "without packing": [0, 0]}
    for picked in plan.micro_batches(training.batch_size // (training.micro_batch_size or training.batch_size)):
        lengths = encoded.lengths[picked].tolist()
        for how, groups in (
            ("packed", packed_groups(lengths, encoded.max_length)),
            ("without packing", [[row] for row in range(len(lengths))]),
        ):
            widest = max(sum(lengths[row] for row in group) for group in groups)
            sums[how][0] += sum(lengths)
            sums[how][1] += widest * len(groups)
    words = [f"{share_text(1 - tokens / positions, digits=0)} {how}" for how, (tokens, positions) in sums.items()]
    first, second = words if training.packing else reversed(words)
    return [Finding("ok", "padding", f"of what the student reads {first} is padding; it would be {second}")]


def _vocabulary(context: Context, student: Any) -> Finding:
    if context.vocabulary is None:
        return Finding("note", "vocabulary", "different tokenizers: the student reads the teacher's text, not its ids")
    rows = [len(m.get_output_embeddings().weight) for m in (context.teacher, student) if m is not None]
    padded = f", of {' and '.join(map(str, rows))} rows of logits" if set(rows) != {context.vocabulary} else ""
    return Finding("ok", "vocabulary", f"teacher and student know the same {context.vocabulary:,} tokens{padded}")


def _end_token(context: Context, student: Any) -> list[Finding]:
    """Compare the end tokens of completions, of the teacher's own texts and of the student's."""
    encoded, tokenizer = context.train_rows, context.student_tokenizer

    def named(ids: Iterable[int]) -> str:
        return ", ".join(tokenizer.convert_ids_to_tokens(list(ids)))

    ends = named(encoded.end_ids)
    findings = []
    theirs = () if context.teacher is None else own_end_tokens(context.teacher, context.teacher_tokenizer)
    if theirs and not set(theirs) & set(encoded.end_ids):
        words = ", ".join(context.teacher_tokenizer.convert_ids_to_tokens(list(theirs)))
        findings.append(
            Finding("warning", "end token", f"completions end with {ends}, and the teacher's own texts with {words}")
        )
    own = own_end_tokens(student, tokenizer)
    if context.config.student.model is not None and not set(encoded.end_ids) <= set(own):
        findings.append(
            Finding(
                "note", "end token",
                f"completions end with {ends}; the student's own settings (generation_config.json) end with "
                f"{named(own) or 'no token of its tokenizer'}, so it would continue past them. The settings of the "
                f"distilled student end with {named(end_tokens_of(student, tokenizer, encoded))}",
            )
        )  # fmt: skip
    filling = tokenizer.convert_ids_to_tokens(encoded.pad_id)
    ok = Finding("ok", "end token", f"completions end with {ends}; shorter rows are filled up with {filling}")
    return findings or [ok]


def _own_settings(context: Context, student: Any) -> list[Finding]:
    """Report generation settings of the student that are neither used for measuring nor exported."""
    names = sorted(n for n in student.generation_config.to_diff_dict() if not n.startswith(_NOT_OF_WRITING))
    if not names or context.config.student.model is None:
        return []
    words = f"the student's own {', '.join(names)} (generation_config.json) are neither kept nor used for measuring"
    return [Finding("note", "own settings", f"{words}: they were chosen for the model it started from")]


def _rounds(context: Context) -> list[Finding]:
    """Warn of rollouts generated before the first step that a shorter stage uses only once."""
    training = context.config.training
    total = training.total_steps(context.budget_rows)
    for stage in all_stages(context.config.recipes()):
        if (rollouts := stage.part(Rollouts)) is not None:
            steps = round(stage.share * total)
            of_round = max(1, rollouts.prompts // training.batch_size) * rollouts.epochs
            if steps < of_round:
                words = f"the stage has {steps} steps, and one round of texts is trained on for {of_round}"
                return [Finding("warning", "rounds", f"{words}: set fewer recipe.prompts or more steps")]
    return []


def _store(context: Context) -> list[Finding]:
    try:
        stored_teacher(context)
    except LimbeckError as error:
        return [Finding("fault", "store", str(error))]
    return [Finding("ok", "store", f"{context.config.teacher.store} has every training row")]


def _losses(context: Context, student: Any) -> Finding:
    """Check that the teacher's loss on the user's rows is better than guessing, and than the student's."""

    def update(_: int, note: str = "") -> None:
        pass

    sample = _some_rows(context)
    found: dict[str, float] = {}
    models = {"teacher": None if context.teacher is None else context.teacher.to(device()), "student": student}
    for name, model in models.items():
        if model is not None:
            sums = reference_sums(model, sample[name], vocabulary=context.vocabulary, update=update)
            assert sums.nll_sum_N is not None
            found[name] = float(sums.nll_sum_N.sum() / sums.tokens_N.sum())
    on = f"loss per token on {_SAMPLE_ROWS} rows"
    if "teacher" not in found:
        words = (
            f"{on}: student {found['student']:.2f} nats; the teacher's is not measured: the teacher runs on a server"
        )
        return Finding("note", "losses", words)
    words = f"{on}: teacher {found['teacher']:.2f}, student {found['student']:.2f} nats"
    guessing = float(np.log(context.vocabulary or context.teacher.config.vocab_size))
    if context.config.teacher.fine_tune is not None:
        return Finding("note", "losses", f"{words}, before the teacher is fine-tuned")
    if found["teacher"] >= _GUESSING * guessing:
        return Finding("fault", "losses", f"{words}; guessing gives {guessing:.2f}: the teacher has learnt nothing")
    if found["teacher"] > found["student"]:
        return Finding("fault", "losses", f"{words}: the teacher is worse than the student. Check the template")
    return Finding("ok", "losses", words)


def _some_rows(context: Context) -> dict[str, Any]:
    rows = context.completed_rows[:_SAMPLE_ROWS]
    teachers = np.flatnonzero(context.train_for_teacher.supervised > 0)[:_SAMPLE_ROWS]
    return {"teacher": take_rows(context.train_for_teacher, teachers), "student": take_rows(context.train_rows, rows)}


def _memory(context: Context, student: Any) -> Finding:
    """Compare the peak memory of a step with the device's."""
    items = step_memory(context, student)
    peak, there = total_bytes(items), device_memory_bytes()
    parts = ", ".join(f"{item.name}{f' ({item.how})' if item.how else ''} {readable(item.bytes)}" for item in items)
    words = f"a step takes about {readable(peak)} on a device: {parts}; Python and its libraries come on top"
    if there is not None and peak > _ROOM * there:
        advice = "set training.micro_batch_size lower, or teacher.precision: bf16"
        return Finding("warning", "memory", f"{words}. The device has {readable(there)}: {advice}")
    return Finding("note", "memory", words)


def _time(context: Context, student: Any) -> Finding:
    """Time a few training rows, without text generation."""
    (stage,) = fine_tune().stages
    objective = Objective(student, bind_terms(stage.terms, shapes(student, student)), TokenReadout(context.vocabulary))
    rows = context.completed_rows[np.argsort(context.train_rows.lengths[context.completed_rows])]
    picked = rows[:: max(1, len(rows) // _TIMED_ROWS)][:_TIMED_ROWS]
    batch = context.train_rows.batch(picked)
    batch["student"] = {name: tensor.to(device()) for name, tensor in batch["student"].items()}
    batch["labels_BT"] = batch["labels_BT"].to(device())
    batch["rows_B"] = torch.from_numpy(picked).to(device())
    batch["source_B"] = torch.zeros_like(batch["rows_B"])
    student.train()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        loss, _parts = objective(batch, objective.count([batch]))
        loss.backward()
        loss.item()  # waits for the device
        seconds.append((time.perf_counter() - started) / len(picked))
    training, times = context.config.training, context.config.trainings
    steps = training.total_steps(context.budget_rows)
    students = len(trained(context.config.recipes(), len(context.completed_rows)))
    minutes = min(seconds) * steps * training.batch_size * students * times / 60
    return Finding(
        "note", "time",
        f"{steps} steps for each of {students * times} students: about {max(1, round(minutes))} min on this "
        "machine, without the teacher and without generating texts",
    )  # fmt: skip
