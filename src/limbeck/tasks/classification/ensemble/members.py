"""One member of an ensemble: trained on all folds but one, it answers the fold left out and the rows of no fold."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded, token_limit
from limbeck.data.prompts.scored import encode_for
from limbeck.evaluation.predict import length_sorted_batches, predict_logits, softmax
from limbeck.models.bag_of_words import fit_bag_of_words
from limbeck.models.classifier_head import features
from limbeck.models.label_spreading import spread_head
from limbeck.models.layers import depth, width
from limbeck.models.load import load_classifier, load_tokenizer
from limbeck.models.padding import padding_of
from limbeck.models.problem_type import call_single_label
from limbeck.numerics.cross_fitting import answered_rows, learned_rows, taking_part
from limbeck.numerics.logistic_regression import LinearHead, fit_logistic_regression, one_hot
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.ranks import device, is_main
from limbeck.results.record import StageCost
from limbeck.stages.fit_head import spread_rows
from limbeck.stages.pipeline import StageRun, run_stage
from limbeck.stages.stage import Stage
from limbeck.tasks.baselines import TEACHER
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.config import Member
from limbeck.tasks.classification.ensemble.lesson import Lesson
from limbeck.tasks.classification.recipe_stages import given_sequences, recipe_stages
from limbeck.tasks.kept import is_kept, kept, kept_array
from limbeck.tasks.new_student import wanted_pooling
from limbeck.tasks.planned_stages import split_budget
from limbeck.types import UNLABELLED, Batch, Progress, Rows, Shapes

__all__ = [
    "FOLDER",
    "Kept",
    "LoadedMember",
    "Work",
    "answers_of",
    "forget_features",
    "load_member",
    "member_names",
    "member_title",
    "only_probes",
]

FOLDER = "teacher_ensemble"
"""In the run folder: the answers of each member's model of each fold."""


_BATCH_ROWS = 64


class Kept(NamedTuple):
    """The answers of a member's model of one fold, in the order of its rows, and what they cost."""

    probs: NDArray[np.float32]
    costs: list[StageCost]


@dataclass(frozen=True)
class Work:
    """What all members share."""

    config: RunConfig
    labels: list[str]
    lesson: Lesson
    folder: Path
    """The run folder."""
    progress: Progress
    round: int = 1
    """Counted from 1."""


class LoadedMember(NamedTuple):
    """An untrained model, its tokenizer, and rows as it reads them."""

    model: Any
    tokenizer: Any
    encoded: Encoded


def member_title(member: Member) -> str:
    """Return what people call a member."""
    if member.prompt is not None:
        return member.asked_title
    if member.model is not None:
        return f"{Path(member.model).name} ({member.recipe.key})"
    return "TF-IDF" if member.tfidf else f"labels in the field '{member.labels_from}'"


def member_names(members: list[Member]) -> list[str]:
    """Return the members' names in folders and logs.

    >>> member_names([Member(tfidf=True), Member(model="org/encoder", training={})])
    ['01-tfidf', '02-encoder']
    """
    words = []
    for one in members:
        model = one.api.model if one.api is not None else one.model
        words.append("tfidf" if one.tfidf else one.labels_from or Path(str(model)).name)
    return [f"{place:02d}-{re.sub(r'[^A-Za-z0-9._]+', '-', word)}" for place, word in enumerate(words, start=1)]


def load_member(member: Member, rows: Rows, labels: list[str], *, limit: int | None, seed: int) -> LoadedMember:
    """Load a member's pretrained encoder with a new head, the same for the same seed, and encode the rows for it.

    Raises:
        ModelError: it cannot be loaded, or cannot read the rows.
    """
    import torch

    torch.manual_seed(seed)
    assert member.model is not None
    tokenizer = load_tokenizer(member.model, trust_remote_code=member.trust_remote_code)
    model = load_classifier(
        member.model,
        labels=labels,
        pooling=wanted_pooling(member.pooling),
        trust_remote_code=member.trust_remote_code,
    )
    call_single_label(model.config)
    padding_of(model, tokenizer)
    return LoadedMember(model, tokenizer, encode_for(model, rows, tokenizer, token_limit(tokenizer, model, limit)))


@dataclass(frozen=True)
class _Model:
    """A member's model of one fold."""

    member: Member
    member_name: str
    name: str
    title: str
    fold: int
    """The fold it leaves out, from 0."""
    seed: int
    learned: NDArray[np.int64]
    """Rows that it learns."""
    answered: NDArray[np.int64]
    """Rows that it answers."""


def answers_of(work: Work, place: int, fold: int) -> Kept:
    """Return the answers of a member's model of one fold to its `answered_rows`; once given, they are kept.

    Args:
        work: shared by all members.
        place: the member's, from 0.
        fold: the fold that the model leaves out, from 0.
    """
    one = _model(work, place, fold)
    if one.member.tfidf:
        return _kept(work, one, lambda: _bag_of_words(work, one))
    if only_probes(one.member):
        return _probe(work, one)
    trained = None if is_kept(work.folder, _file(one), _read, work.progress) else _train(work, one)

    def answer() -> Kept:
        assert trained is not None
        model, encoded, costs = trained
        with work.progress.track(f"{one.title}, answers", len(one.answered)) as update:
            probs = softmax(predict_logits(model, encoded, one.answered, update=update))
        return Kept(probs.astype(np.float32), costs)

    found = _kept(work, one, answer)
    if is_main():
        shutil.rmtree(work.folder / FOLDER / one.name, ignore_errors=True)  # its weights are no longer needed
    return found


def only_probes(member: Member) -> bool:
    """Whether a member trains nothing but its head: its features of the rows are then the same in all folds."""
    stages = member.recipe.build().stages
    return member.training is not None and all(stage.fit_head and not stage.share for stage in stages)


def forget_features(work: Work, place: int) -> None:
    """Remove the features of a member whose models have all answered."""
    ensemble = work.config.teacher.ensemble
    assert ensemble is not None
    if is_main():
        (work.folder / _features_file(member_names(ensemble.members)[place])).unlink(missing_ok=True)


def _model(work: Work, place: int, fold: int) -> _Model:
    ensemble, lesson = work.config.teacher.ensemble, work.lesson
    assert ensemble is not None
    member, name = ensemble.members[place], member_names(ensemble.members)[place]
    own_seed = work.config.seeds[0] + place  # so that a model that is a member twice is trained in two ways
    again = f"-round{work.round}" if work.round > 1 else ""
    told = f"round {work.round}, " if ensemble.rounds > 1 else ""
    learned = learned_rows(lesson.class_N, lesson.fold_N, fold)
    whole = fold == ensemble.folds
    part = "all folds" if whole else f"fold {fold + 1} of {ensemble.folds}"
    return _Model(
        member=member,
        member_name=name,
        name=f"{name}{again}-{'all' if whole else f'fold{fold + 1}'}",
        title=f"teacher: {member_title(member)}, {told}{part}",
        fold=fold,
        seed=own_seed,
        learned=taking_part(learned, lesson.agreement_N, seed=[own_seed, work.round, fold]),
        answered=answered_rows(lesson.fold_N, fold),
    )


def _file(one: _Model) -> str:
    return f"{FOLDER}/{one.name}.npz"


def _kept(work: Work, one: _Model, make: Callable[[], Kept]) -> Kept:
    def content() -> bytes:
        found, buffer = make(), io.BytesIO()
        np.savez(buffer, probs=found.probs, costs=np.array(json.dumps([cost.model_dump() for cost in found.costs])))
        return buffer.getvalue()

    return kept(work.folder, _file(one), make=content, read=_read, progress=work.progress)


def _read(path: Path) -> Kept:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            costs = [StageCost.model_validate(cost) for cost in json.loads(str(arrays["costs"]))]
            return Kept(arrays["probs"], costs)
    except (OSError, KeyError, BadZipFile) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def _features_file(member_name: str) -> str:
    return f"{FOLDER}/{member_name}-features.npy"


def _probe(work: Work, one: _Model) -> Kept:
    """Fit a head to features that are computed once for all folds, as `limbeck.stages.fit_head` fits it to a model's.

    The cost of the first fold includes the features.
    """
    started = time.perf_counter()
    if is_kept(work.folder, _file(one), _read, work.progress):
        return _read(work.folder / _file(one))
    file = _features_file(one.member_name)  # before the answers, for which other processes wait
    found_ND = kept_array(work.folder, file, lambda: _features(work, one), work.progress)

    def answer() -> Kept:
        with work.progress.track(one.title, 1) as update:
            head = _fitted(work, one, found_ND)
            update(1)
        logits_NC = found_ND[one.answered] @ head.weight_CD.T + head.bias_C
        return Kept(softmax(logits_NC.astype(np.float32)).astype(np.float32), [_cost(work, one, started)])

    return _kept(work, one, answer)


def _fitted(work: Work, one: _Model, features_ND: NDArray[np.float32]) -> LinearHead:
    stage = one.member.recipe.build().stages[-1]
    if stage.spreads:
        rows = _head_rows(work, one)
        return spread_head(features_ND[rows], _known_labels(work, one)[rows], work.lesson.classes, stage.head_strength)
    targets_NC = one_hot(work.lesson.class_N[one.learned], work.lesson.classes)
    return fit_logistic_regression(features_ND[one.learned], targets_NC, stage.head_strength)


def _features(work: Work, one: _Model) -> NDArray[np.float32]:
    """Return what the head of the untrained model reads of all rows, ``[N, D]``."""
    import torch

    model, _, encoded = _loaded(work, one)
    model.to(device()).eval()
    found: list[NDArray[np.float32]] = []
    batches = list(length_sorted_batches(encoded.lengths, _BATCH_ROWS))
    title = f"teacher: {member_title(one.member)}, features"
    with work.progress.track(title, len(encoded.lengths)) as update, torch.no_grad():
        for rows in batches:
            inputs = {name: tensor.to(device()) for name, tensor in encoded.batch(rows).items()}
            found.append(features(model, inputs).float().cpu().numpy())
            update(len(rows))
    found_ND = np.empty((len(encoded.lengths), found[0].shape[1]), dtype=np.float32)
    found_ND[np.concatenate(batches)] = np.concatenate(found)
    return found_ND


def _loaded(work: Work, one: _Model) -> LoadedMember:
    assert one.member.training is not None
    limit = one.member.training.max_length or work.config.training.max_length
    return load_member(one.member, work.lesson.rows, work.labels, limit=limit, seed=one.seed)


def _cost(work: Work, one: _Model, started: float) -> StageCost:
    """Return the cost of a model without optimiser steps."""
    return StageCost(
        stage=one.name,
        system=TEACHER,
        seed=work.config.seeds[0],
        seconds=time.perf_counter() - started,
        steps=0,
        rows_seen=len(one.learned),
        tokens_seen=0,
        peak_memory_bytes=peak_memory_bytes(),
    )


def _bag_of_words(work: Work, one: _Model) -> Kept:
    lesson, started = work.lesson, time.perf_counter()
    with work.progress.track(one.title, 2) as update:
        rows = lesson.rows.take(one.learned.tolist())
        fitted = fit_bag_of_words(rows.text, rows.text_pair, one_hot(lesson.class_N[one.learned], lesson.classes))
        update(1)
        rows = lesson.rows.take(one.answered.tolist())
        probs = fitted.probs(rows.text, rows.text_pair).astype(np.float32)
        update(1)
    return Kept(probs, [_cost(work, one, started)])


def _train(work: Work, one: _Model) -> tuple[Any, Encoded, list[StageCost]]:
    """Return a trained model, the rows encoded for it, and its costs; what an earlier start began is finished."""
    member, training = one.member, one.member.training
    assert training is not None
    loaded = _loaded(work, one)
    model = loaded.model.to(device())
    stages = recipe_stages(member.recipe, model, training)
    costs = []
    for stage, steps in zip(stages, split_budget(stages, training.total_steps(len(one.learned))), strict=True):
        costs.append(run_stage(stage, _stage_run(work, one, stage, loaded, steps=steps), model))
    return model, loaded.encoded, costs


def _stage_run(work: Work, one: _Model, stage: Stage, loaded: LoadedMember, *, steps: int) -> StageRun:
    model, tokenizer, encoded = loaded
    training, label_N = one.member.training, _known_labels(work, one)
    assert training is not None
    return StageRun(
        folder=work.folder / FOLDER / one.name / stage.name,
        log=work.folder / "log.jsonl",
        system=TEACHER,
        seed=work.config.seeds[0],
        training=training,
        sequences=given_sequences(
            stage, one.learned, label_N, encoded.lengths, batch_size=training.batch_size, steps=steps, seed=one.seed
        ),
        make_batch=_batch_maker(encoded, label_N),
        progress=work.progress,
        title=f"{one.title}: {stage.name}",
        tokenizer=tokenizer,
        shapes=Shapes(0, 0, depth(model), width(model)),
        stage=f"{one.name}-{stage.name}",
        head_rows=_head_rows(work, one) if stage.spreads else one.learned,
    )


def _known_labels(work: Work, one: _Model) -> NDArray[np.int64]:
    """Return the labels of the rows that a model learns; others are unlabelled for it."""
    label_N = np.full(len(work.lesson.class_N), UNLABELLED, dtype=np.int64)
    label_N[one.learned] = work.lesson.class_N[one.learned]
    return label_N


def _head_rows(work: Work, one: _Model) -> NDArray[np.int64]:
    """Return the training rows that a head with spread labels is fitted on: the fold left out is unlabelled."""
    return spread_rows(one.learned, np.setdiff1d(np.arange(work.lesson.train_rows), one.learned))


def _batch_maker(encoded: Encoded, class_N: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], Batch]:
    import torch

    def make_batch(rows: NDArray[np.int64]) -> Batch:
        picked = np.asarray(rows)
        labels_B, rows_B = torch.from_numpy(class_N[picked]), torch.from_numpy(picked)
        return {"student": encoded.batch(picked), "labels_B": labels_B, "rows_B": rows_B}

    return make_batch
