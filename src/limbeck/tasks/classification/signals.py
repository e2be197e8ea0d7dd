"""The teacher's signals for the training rows: computed once and stored, read with the rows, or computed live."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limbeck.errors import ConfigError, ModelError
from limbeck.evaluation.predict import length_sorted_batches
from limbeck.formatting import share_text
from limbeck.losses.term import needs_of
from limbeck.models.layers import width
from limbeck.models.load import weights_fingerprint
from limbeck.models.trials import require_probes, require_taps
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.ranks import is_main, wait_for_all
from limbeck.recipes.recipe import Recipe
from limbeck.results import StageCost
from limbeck.sequences.curriculum import Curriculum
from limbeck.stages.stage import Stage
from limbeck.stages.unfreezing import require_trainable
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.classification.context import Context, ModelTeacher
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.outer import require_outer
from limbeck.tasks.classification.pilot import advice_for
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher, can_store, open_signals, store_signals
from limbeck.types import Needs, Shapes

__all__ = ["all_needs", "keeps_signals", "require_fitting", "teacher_runs_along", "teacher_signals"]

_STORE_LIMIT_BYTES = 8 * 2**30
"""Larger signals are not stored: the teacher then runs along with the student."""
_TEACHER_BATCH_ROWS = 32


def all_needs(stages: Sequence[Stage], pair: Shapes) -> Needs:
    """Return what all stages need from this pair of models."""
    needs = Needs()
    for stage in stages:
        needs = needs | needs_of(stage.bound(pair))
    return needs


def _kept_needs(stages: Sequence[Stage], pair: Shapes) -> Needs:
    """Return what is computed for all stages once; of a teacher that a stage trains, only what it says before."""
    trained = any(stage.outer is not None for stage in stages)
    return all_needs([stage for stage in stages if stage.outer is None], pair) | Needs(logits=trained)


def teacher_runs_along(stages: Sequence[Stage], pair: Shapes, *, rows: int, classes: int) -> bool:
    """Whether a teacher with weights runs at every step, because its signals are too large to store."""
    needs = _kept_needs(stages, pair)
    small = can_store(needs, rows=rows, classes=classes, width=pair.teacher_width, limit_bytes=_STORE_LIMIT_BYTES)
    return needs.teacher and not small


def require_fitting(context: Context) -> None:
    """Check widths, heads, layer maps, taps and tokenizers of this pair of models early, for every recipe.

    Raises:
        ConfigError: the recipe needs something that this teacher, or this pair, lacks.
        ModelError: a model does not give a state that the recipe reads.
    """
    stages = all_stages(context.config.recipes())
    require_trainable(context.student, (stage.trains for stage in stages))
    if isinstance(context.teacher, LabelTeacher):
        return  # see set_up
    pair, sizes = context.pair(context.student), {"rows": len(context.rows.train), "classes": len(context.rows.labels)}
    along = teacher_runs_along(stages, pair, **sizes)
    for recipe in context.config.recipes().values():
        _require_fitting(context, recipe.name, recipe.build(), along=along)


def _require_fitting(context: Context, name: str, recipe: Recipe, *, along: bool) -> None:
    if recipe.part(Curriculum) is not None and along:
        raise ConfigError(
            f"recipe '{name}' orders rows by the teacher's probabilities and needs them before training, but with "
            "these arguments this teacher is asked along with the student. Use order: random, or a recipe on logits "
            "alone (anon without hidden_weight)"
        )
    needs = all_needs(recipe.stages, context.pair(context.student))
    if needs.same_tokens and not context.same_tokens:
        raise ConfigError(
            f"recipe '{name}' compares teacher and student token by token, but their "
            "tokenizers write tokens with different ids. Use a student with the teacher's tokenizer "
            "(student.from_teacher), or a recipe on class logits (kd), which allows that"
        )
    require_outer(context.config, context.rows, context.student, name, recipe)
    require_taps(context.student, needs.student_taps)
    require_probes(context.student, needs.student_probes, trained=True)
    if isinstance(context.teacher, ModelTeacher):
        require_taps(context.teacher.model, needs.teacher_taps)
        require_probes(context.teacher.model, needs.teacher_probes, trained=False)


def teacher_signals(context: Context) -> StoredTeacher | LocalTeacher | None:
    """Return the source of signals for the stages of all recipes; ``None`` if no stage needs any.

    Small signals are computed once and stored; large ones are computed live.

    Raises:
        ModelError: the teacher is no better than guessing on the labelled training rows.
    """
    needs = _kept_needs(all_stages(context.config.recipes()), context.measured_pair)
    if not needs.teacher:
        return None
    if isinstance(context.teacher, LabelTeacher):
        signals = context.teacher.signals()
        _require_useful_teacher(context, signals)
        return signals
    stored = _stored_signals(context, context.teacher, needs)
    if stored is None:
        return LocalTeacher(context.teacher.model)
    context.costs["teacher_signals"] = _signal_cost(context, context.teacher, stored)
    if needs.logits:
        _require_useful_teacher(context, stored)
    return stored


def keeps_signals(context: Context) -> bool:
    """Whether a teacher with weights passes over the training rows once, before the students train."""
    stages, pair = all_stages(context.config.recipes()), context.pair(context.student)
    needs, sizes = _kept_needs(stages, pair), {"rows": len(context.rows.train), "classes": len(context.rows.labels)}
    return needs.teacher and not teacher_runs_along(stages, pair, **sizes)


def _stored_signals(context: Context, teacher: ModelTeacher, needs: Needs) -> StoredTeacher | None:
    rows, classes = len(context.rows.train), len(context.rows.labels)
    if not can_store(needs, rows=rows, classes=classes, width=width(teacher.model), limit_bytes=_STORE_LIMIT_BYTES):
        return None
    kinds = f"logits={needs.logits} first={needs.teacher_first} batch={_TEACHER_BATCH_ROWS}"
    folder = context.folder / "signals"
    if is_main():
        store_signals(
            LocalTeacher(teacher.model),
            needs=needs,
            batches=list(length_sorted_batches(teacher.train.lengths, _TEACHER_BATCH_ROWS)),
            make_batch=context.batch_maker(context.train, teacher.train),
            folder=folder,
            fingerprint=f"{weights_fingerprint(teacher.model)} {teacher.train.fingerprint()} {kinds}",
            progress=context.progress,
        )
    wait_for_all()
    return open_signals(folder, needs)


def _require_useful_teacher(context: Context, stored: StoredTeacher) -> None:
    """Refuse a teacher that is no better than guessing on the labelled training rows that it answered.

    Raises:
        ModelError: its accuracy is at most the share of the most frequent label, and its loss at least ln C.
    """
    rows = np.flatnonzero((context.rows.train_labels >= 0) & context.taught)
    if not len(rows):
        return
    gold, log_probs = context.rows.train_labels[rows], stored.log_probs(rows)
    accuracy = float((log_probs.argmax(axis=-1) == gold).mean())
    loss = float(-log_probs[np.arange(len(gold)), gold].mean())
    most_frequent = np.bincount(gold).max() / len(gold)
    if accuracy <= most_frequent and loss >= np.log(len(context.rows.labels)):
        raise ModelError(
            f"the teacher is right on {share_text(accuracy)} of {len(rows)} labelled training rows, no better than "
            f"always giving the most frequent label ({share_text(most_frequent)}). {advice_for(context.config)}"
        )


def _signal_cost(context: Context, teacher: ModelTeacher, stored: StoredTeacher) -> StageCost:
    return StageCost(
        stage="teacher_signals",
        system="teacher",
        seed=context.config.seeds[0],
        seconds=stored.seconds,
        steps=0,
        rows_seen=len(context.rows.train),
        tokens_seen=int(teacher.train.lengths.sum()),
        peak_memory_bytes=peak_memory_bytes(),
    )
