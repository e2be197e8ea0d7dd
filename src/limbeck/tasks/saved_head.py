"""A saved student with a head, loaded on first use, and its evaluation on rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from limbeck.data.encode import Encoded, token_limit
from limbeck.errors import ModelError
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.speed import load_warnings, measure_speed
from limbeck.models.layers import depth
from limbeck.models.load import Head, load_classifier, load_tokenizer, model_labels
from limbeck.models.padding import Padding, padding_of
from limbeck.ranks import device
from limbeck.results.record import Results, System
from limbeck.tasks.baselines import MAIN, TEACHER
from limbeck.tasks.options import Options
from limbeck.tasks.record import Facts, assemble
from limbeck.tasks.task_file import read_task, student_max_length
from limbeck.types import Progress, Update

__all__ = ["EvaluateOptions", "Read", "SavedHead", "evaluate_heads"]

Outputs = dict[str, dict[int, NDArray[np.float32]]]
Read = tuple[Encoded, Callable[[Update], NDArray[np.float32]]]
"""Returns rows encoded for a model, and their predictor."""

Task = TypeVar("Task", bound=BaseModel)


class SavedHead(Generic[Task]):
    """Model, tokenizer and task of a student's folder.

    Args:
        model: a folder that `limbeck distill` wrote.
        task: the class of its task.
        head: what its outputs are for.

    Raises:
        ModelError: cannot be loaded, is of another kind, or its ``task.json`` is damaged.
    """

    def __init__(self, model: str, task: type[Task], head: Head) -> None:
        self.task = read_task(model, task, without="max_length")
        self.model: Any = load_classifier(model, head=head)
        self.tokenizer: Any = load_tokenizer(model)
        self.outputs = model_labels(self.model)
        self.max_length = token_limit(self.tokenizer, self.model, student_max_length(model))
        self.padding: Padding = padding_of(self.model, self.tokenizer)
        self.model.to(device())


class EvaluateOptions(Options):
    """Options of the evaluation."""

    against: str | None = None
    """A second student of the kind, as the teacher."""


def evaluate_heads(
    kind: str,
    models: Mapping[str, SavedHead[Any]],
    read: Callable[[SavedHead[Any]], Read],
    measure: Callable[[Sequence[System], Outputs], Measured],
    rows: int,
    progress: Progress,
) -> Results:
    """Return the figures of a student on held-out rows, and of a second model, as the teacher.

    Args:
        kind: of the task.
        models: the student and optionally a teacher by their paths, the student first.
        read: returns the rows encoded for a model.
        measure: returns all figures.
        rows: number of rows.
        progress: shows the progress.

    Raises:
        ModelError: the two have different outputs.
    """
    (student, first), *others = models.items()
    for path, other in others:
        if other.outputs != first.outputs:
            raise ModelError(f"{student} and {path} have different outputs, or in another order")
    systems: list[System] = []
    outputs: Outputs = {}
    inputs: dict[str, Encoded] = {}
    for path, one in models.items():
        name, layers = MAIN if one is first else TEACHER, depth(one.model)
        role = "main" if one is first else "teacher"
        systems.append(
            System.model_validate(
                {"name": name, "title": path, "role": role, "detail": f"{layers} layers", "layers": layers}
            )
        )
        inputs[name], predict = read(one)
        with progress.track(f"predicting: {path}", len(inputs[name].lengths)) as update:
            outputs[name] = {0: predict(update)}
    speeds = measure_speed({one.name: models[one.title].model for one in systems}, inputs)
    facts = Facts(kind=kind, name=student, recipe="", seeds=[0], rows={"test": rows})
    return assemble(facts, measure(systems, outputs), sections=[speeds], warnings=load_warnings(speeds))
