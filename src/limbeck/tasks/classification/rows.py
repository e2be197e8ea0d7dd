"""Rows, labels and models of a checked run file, with early failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.load import Fields, LoadedRows, fields_found, lacking, load_rows
from limbeck.data.look_alikes import twin_of, visible
from limbeck.data.prompts.sandbox import folded
from limbeck.data.tasks import Classification, label_ids, labels_in
from limbeck.errors import ConfigError, DataError, ModelError, near_misses
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import (
    config_labels,
    has_named_labels,
    load_classifier,
    load_config,
    load_tokenizer,
    model_labels,
)
from limbeck.models.padding import padding_of
from limbeck.models.problem_type import call_single_label, require_single_label
from limbeck.tasks.baselines import MAIN, trained
from limbeck.tasks.classification.config import Data, RunConfig
from limbeck.tasks.dev_rows import kept_back, overlap_warnings, require_gold
from limbeck.tasks.held_out import held_out, parted
from limbeck.tasks.new_student import wanted_pooling
from limbeck.types import Origin, Rows

__all__ = [
    "RunRows",
    "budget_steps",
    "demonstration_warnings",
    "dev_warnings",
    "leaked_rows",
    "read_rows",
    "require_labels",
    "start_teacher",
    "task_file",
]


_SINGLE_LABEL_ADVICE = (
    "Use a teacher that chooses one label (trained by cross-entropy), fine-tune the encoder for your labels "
    "(teacher.fine_tune), or write its most likely label of each row to a field (teacher.labels_from)"
)


@dataclass(frozen=True)
class RunRows:
    """Training and held-out rows with their label ids."""

    train: Rows
    test: Rows
    labels: list[str]
    train_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    left_out: int
    fingerprints: dict[str, str]
    dev: Rows | None = None
    """Rows for `search`, for early stopping, and for the fit of the student's temperature."""
    columns: tuple[str, ...] = ()
    """Fields of the training rows."""

    @property
    def labelled(self) -> int:
        """Number of labelled training rows."""
        return int((self.train_labels >= 0).sum())


def read_rows(config: RunConfig, folder: Path | None = None) -> RunRows:
    """Read and check all rows, and settle the labels and their order.

    The order is that of a fine-tuned teacher's logits, else ``task.labels``, else sorted.

    Args:
        config: the run.
        folder: the run folder, for rows in quarantine; ``None`` reads without writing.

    Raises:
        DataError, ModelError: as the checks find.
    """
    known = _known_labels(config)
    teacher_label, teacher_confidence = config.teacher.label_fields.values()
    fields = Fields(
        text=config.task.text,
        text_pair=config.task.text_pair,
        label=config.task.label,
        teacher_label=teacher_label,
        teacher_confidence=teacher_confidence,
        teacher_rationale=config.teacher.rationale,
    )
    train = _load(config.data, "train", fields, known, folder)
    _require_teacher_fields(config, train.columns)
    labels = known or _labels_found(config, train)
    fingerprints, left_out = {"train": train.fingerprint}, train.left_out
    if config.data.test is not None:
        test = _load(config.data, "test", fields, labels, folder)
        train_rows, test_rows = train.rows, test.rows
        fingerprints["test"] = test.fingerprint
        left_out += test.left_out
    else:
        train_rows, test_rows = _hold_out(train.rows, config.data.test_size)
    dev = None
    if config.data.dev is not None:
        found = _load(config.data, "dev", fields, labels, folder)
        dev, fingerprints["dev"] = found.rows, found.fingerprint
        left_out += found.left_out
    elif config.dev_reader is not None:
        train_rows, dev = _parts(train_rows, kept_back(train_rows.label, config.dev_reader))
    if config.dev_reader is not None and dev is not None:
        require_gold([label is not None for label in dev.label], config.dev_reader)
    _require_teacher_size(config, labels)
    return RunRows(
        train=train_rows,
        test=test_rows,
        labels=labels,
        train_labels=label_ids(train_rows, labels),
        test_labels=label_ids(test_rows, labels),
        left_out=left_out,
        fingerprints=fingerprints,
        dev=dev,
        columns=train.columns,
    )


def _require_teacher_fields(config: RunConfig, columns: Sequence[str]) -> None:
    """Refuse a field of the teacher that no training row has. Raises `DataError`."""
    for name, field in {**config.teacher.label_fields, "rationale": config.teacher.rationale}.items():
        if field is not None and field not in columns:
            raise DataError(f"teacher.{name}: no training row has the field '{field}'; {near_misses(field, columns)}")


def _labels_found(config: RunConfig, train: LoadedRows) -> list[str]:
    try:
        return labels_in(train.rows)
    except DataError as error:
        label = config.task.label
        absent = lacking([] if label is None else [label], train.columns)
        if not absent:
            raise
        raise DataError(f"{error}.{absent}") from error


def _load(data: Data, split: str, fields: Fields, labels: list[str] | None, folder: Path | None) -> Any:
    sources = getattr(data, split)
    return load_rows(
        sources,
        fields,
        on_bad_row=data.on_bad_row,
        labels=labels,
        quarantine=folder / f"quarantine-{split}.jsonl" if folder else None,
        split=split,
    )


def _known_labels(config: RunConfig) -> list[str] | None:
    """Return labels that are known before any row is read: from a fine-tuned teacher, or from the task."""
    wanted = config.task.labels
    if config.teacher.fine_tune is not None or not config.teacher.is_classifier:
        return wanted
    assert config.teacher.model is not None
    model = load_config(config.teacher.model, trust_remote_code=config.teacher.trust_remote_code)
    require_single_label(model, f"teacher {config.teacher.model}", _SINGLE_LABEL_ADVICE)
    if not has_named_labels(model):
        return wanted
    names = config_labels(model)
    if wanted is not None and set(wanted) != set(names):
        only_task, only_teacher = sorted(set(wanted) - set(names)), sorted(set(names) - set(wanted))
        twins = [f"{visible(name)} for {visible(twin)}" for name in only_task if (twin := twin_of(name, only_teacher))]
        looks = f" (only in case, blanks or Unicode form: {', '.join(twins[:5])})" if twins else ""
        raise ModelError(
            f"task.labels and the labels of teacher {config.teacher.model} differ: only in the task {only_task[:5]}, "
            f"only in the teacher {only_teacher[:5]}{looks}. Use the teacher's names, or a teacher for this task"
        )
    return names


def _require_teacher_size(config: RunConfig, labels: list[str]) -> None:
    if config.teacher.fine_tune is not None or not config.teacher.is_classifier:
        return
    assert config.teacher.model is not None
    size = load_config(config.teacher.model, trust_remote_code=config.teacher.trust_remote_code).num_labels
    if size != len(labels):
        raise ModelError(
            f"teacher {config.teacher.model} classifies {size} labels, but the task has {len(labels)} "
            f"({', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}). "
            "Use a teacher for this task, or add teacher.fine_tune"
        )


def _hold_out(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """Take out `share` of the labelled rows (of all rows if none is labelled), always the same ones."""
    labelled = [i for i, label in enumerate(rows.label) if label is not None]
    return _parts(rows, held_out(labelled or range(len(rows)), share))


def _parts(rows: Rows, taken: Sequence[int]) -> tuple[Rows, Rows]:
    """Split rows into the remaining and the taken ones."""
    left, chosen = parted(len(rows), taken)
    return rows.take(left), rows.take(chosen)


def leaked_rows(rows: RunRows) -> list[Origin]:
    """Return the locations of held-out rows whose texts also occur in the training rows."""
    trained_on = set(_texts(rows.train))
    return [origin for text, origin in zip(_texts(rows.test), rows.test.origin, strict=True) if text in trained_on]


def dev_warnings(config: RunConfig, rows: RunRows) -> list[str]:
    """Warn of the user's development rows whose texts also occur in the training rows."""
    return overlap_warnings(config, _texts(rows.train), None if rows.dev is None else _texts(rows.dev))


def _texts(part: Rows) -> list[tuple[str, str]]:
    return list(zip(part.text, part.text_pair or [""] * len(part), strict=True))


def demonstration_warnings(config: RunConfig, rows: RunRows) -> list[str]:
    """Warn of rows that the run's prompts show with their labels."""
    asked = config.teacher.asked
    given = (None if asked is None else asked.prompt, config.student.prompt)
    prompts = [prompt for prompt in given if prompt is not None]
    shown = {folded(one.slots.get(prompt.body, "")) for prompt in prompts for one in prompt.demonstrations} - {""}

    def count(part: Rows) -> int:
        pairs = zip(part.text, part.text_pair or part.text, strict=True)
        return sum(bool(shown & {folded(text), folded(pair)}) for text, pair in pairs)

    found = []
    if held_out := count(rows.test):
        found.append(f"{held_out} held-out texts are demonstrations of the prompt; figures may be too good.")
    if trained_on := count(rows.train):
        found.append(
            f"{trained_on} training texts are demonstrations of the prompt: their labels were given, not asked for."
        )
    return found


def require_labels(config: RunConfig, rows: RunRows) -> None:
    """Check that there are labels if a term or the teacher's fine-tuning reads them.

    A baseline that needs only labels is left out instead; see `limbeck.tasks.baselines.trained`.

    Raises:
        ConfigError: none of the training rows is labelled.
    """
    if rows.labelled:
        return
    where = f"none of the {len(rows.train)} training rows has a label in field '{config.task.label}'"
    if config.task.label not in rows.columns and rows.columns:
        where += f" ({fields_found(rows.columns)})"
    if config.teacher.fine_tune is not None:
        raise ConfigError(f"teacher.fine_tune needs labelled rows, but {where}. Name a fine-tuned teacher")
    for name, recipe in trained(config.recipes(), rows.labelled).items():
        if not any(stage.reads_labels for stage in recipe.build().stages):
            continue
        who = "recipe" if name == MAIN else "baseline"
        raise ConfigError(
            f"{who} '{recipe.name}' reads labels with these arguments, but {where}. "
            "Leave labels out of it (label_weight: 0; for pkd use_labels: false), or add labelled rows"
        )


def start_teacher(config: RunConfig, labels: list[str]) -> tuple[Any, Any]:
    """Load teacher and tokenizer; a teacher to fine-tune is not fine-tuned yet.

    Raises:
        ModelError: cannot be loaded, is not a classifier, has another number of labels, or cannot read batches.
    """
    import torch

    torch.manual_seed(config.seeds[0])  # a pretrained encoder gets a new classifier
    teacher = config.teacher
    assert teacher.model is not None
    tokenizer = load_tokenizer(teacher.model, trust_remote_code=teacher.trust_remote_code)
    fine_tuned_already = teacher.fine_tune is None
    model = load_classifier(
        teacher.model,
        labels=None if fine_tuned_already else labels,
        pooling=wanted_pooling(teacher.pooling),
        trust_remote_code=teacher.trust_remote_code,
    )
    call_single_label(model.config)  # a head that is fine-tuned here may have been for another kind
    if fine_tuned_already and model_labels(model) != labels:
        # Its labels have no names (LABEL_0 ...); the task's names, in the same order, go into the student.
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: i for i, label in enumerate(labels)}
    if not isinstance(model, LabelScorer):  # which uses the mask
        padding_of(model, tokenizer, trained=fine_tuned_already)
    return model, tokenizer


def budget_steps(config: RunConfig, rows: RunRows, taught: int) -> int:
    """Return the optimiser steps of every student of the run; `taught` rows have an answer from the teacher."""
    labelled_only = all(stage.labelled_only for stage in config.recipe.build().stages)
    return config.training.total_steps(rows.labelled if labelled_only else taught)


def task_file(task: Classification, labels: list[str], max_length: int) -> dict[str, Any]:
    """Return what a saved student needs to label new rows."""
    return {**task.model_dump(), "labels": labels, "max_length": max_length}
