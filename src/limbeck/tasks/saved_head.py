"""A saved student with a head: its folder, loaded once it is asked for anything."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from limbeck.data.encode import token_limit
from limbeck.models.load import Head, load_classifier, load_tokenizer, model_labels
from limbeck.models.padding import Padding, padding_of
from limbeck.ranks import device
from limbeck.tasks.task_file import read_task, student_max_length

__all__ = ["SavedHead"]

Task = TypeVar("Task", bound=BaseModel)


class SavedHead(Generic[Task]):
    """Model, tokenizer and task of a student's folder.

    Args:
        model: a folder that `limbeck distill` wrote.
        task: the class of its task.
        head: what its outputs are of.

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
