"""The prompt with which a teacher labels texts: the ``prompt`` section of a run file, its hash, and frozen files.

Its parts are those of Saxena, Janzen, Maass, "Streamlining LLMs: Adaptive Knowledge Distillation for Tailored
Language Models": system, instruction, demonstrations, response format, input.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import reprlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from limbeck.atomic import write_json
from limbeck.data.prompts.cleaning import Cleaning
from limbeck.data.prompts.sandbox import slots_of
from limbeck.data.tasks import OneLine
from limbeck.errors import ConfigError, ModelError, near_misses
from limbeck.models.json_file import faults_in

__all__ = [
    "RATIONALE_FORMATS",
    "Demonstration",
    "LabelPrompt",
    "check_prompt",
    "load_prompt",
    "save_prompt",
    "student_prompt",
]

_FILE_FORMAT = 1
_LABELS = "labels"
RATIONALE_FORMATS = ("label_and_rationale", "json")
"""Formats of answers that have a rationale."""


class Demonstration(BaseModel):
    """A worked example: the fields of a row (``text``, ...), its label and, if the format has one, its rationale."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, str]

    label: str
    rationale: str | None = None

    @property
    def slots(self) -> dict[str, str]:
        """The row's fields, for the input template."""
        return dict(self.__pydantic_extra__)


class LabelPrompt(BaseModel):
    """The teacher's prompt. Texts are jinja2 templates; ``{{ labels }}`` lists the task's labels in quotes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str | None = None
    """Who the model is: a chat's system message, or the first lines of a plain prompt."""
    instruction: Annotated[str, Field(min_length=1)] = "Classify the text into one of these categories: {{ labels }}."
    demonstrations: tuple[Demonstration, ...] = ()
    format: Literal["none", "label", "label_and_rationale", "json"] = "label"
    """The form of an answer, and the sentence describing it; ``none``: the label, without a sentence."""
    input: Annotated[str, Field(min_length=1)] = "Input: {{ text }}"
    """The text to label; its slots are fields of the row."""
    answer: str = "Output:"
    """The heading of the label: the last line of a plain prompt. With ``label_and_rationale``, ``Classification:`` is
    better, and a chat's answer begins with it."""
    rationale: str = "Reason:"
    """The heading of the rationale, with ``label_and_rationale``."""
    descriptions: dict[str, OneLine] = {}
    """Descriptions of labels, by name; default: those in ``task.labels``. They follow the instruction on their own
    lines."""
    body: str = "text"
    """The slot of the input that is cut if it is too long; everything else stays whole."""
    max_body_tokens: Annotated[int, Field(ge=1)] = 256
    """Maximum tokens of the body; 400 suits teachers with a long context."""
    clean: Cleaning = "markup"
    """What is removed from rows: HTML mark-up; everything except letters and digits; nothing."""
    layout: Literal["auto", "plain", "chat"] = "auto"
    """``chat``: use the tokenizer's chat template. ``auto``: chat if the tokenizer has one."""
    date: datetime.date | None = None
    """The day (YYYY-MM-DD) for a chat template that writes today's; default: the day the run began."""

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "file" not in value:
            return value
        if len(value) > 1:
            others = ", ".join(sorted(map(str, set(value) - {"file"})))
            raise ValueError(f"file names a whole prompt; remove {others}, or copy the prompt here and change it")
        if not isinstance(value["file"], str):
            raise ValueError(f"file: expected the name of a file, got {reprlib.repr(value['file'])}")
        return _read(Path(value["file"]))

    @field_validator("system", "instruction")
    @classmethod
    def _only_labels(cls, template: str | None) -> str | None:
        if template is not None and (others := sorted(slots_of(template) - {_LABELS})):
            raise ValueError(
                f"unknown slot {others[0]}: this text is the same for all rows, so its only slot is {{{{ labels }}}}. "
                "Fields of the row belong in input"
            )
        return template

    @field_validator("answer", "rationale")
    @classmethod
    def _one_line(cls, heading: str) -> str:
        if not heading.strip() or heading != heading.strip() or len(heading.splitlines()) > 1:
            raise ValueError(f"expected a heading on one line, without spaces around it, not {heading!r}")
        return heading

    @model_validator(mode="after")
    def _body_is_in_the_input(self) -> LabelPrompt:
        if self.body not in (slots := slots_of(self.input)):
            raise ValueError(
                f"input must have the slot {{{{ {self.body} }}}} that body names; its slots: "
                f"{', '.join(sorted(slots)) or 'none'}"
            )
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of everything in the prompt: equal prompts have equal hashes, wherever they are written."""
        # Some prompts were frozen before there were dates and descriptions.
        unset = {name for name in ("date", "descriptions") if not getattr(self, name)}
        content = {"format": _FILE_FORMAT, "prompt": self.model_dump(mode="json", exclude=unset)}
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def described(self, descriptions: Mapping[str, str]) -> LabelPrompt:
        """Return the prompt with a task's descriptions of its labels.

        Raises:
            ConfigError: the prompt has different descriptions.
        """
        if not descriptions or self.descriptions == descriptions:
            return self
        if self.descriptions:
            raise ConfigError("prompt.descriptions and task.labels describe the labels differently: remove one")
        return self.model_copy(update={"descriptions": dict(descriptions)})


def check_prompt(prompt: LabelPrompt, labels: Sequence[str], fields: Collection[str]) -> None:
    """Refuse a prompt that does not fit the task, before any request.

    Args:
        prompt: the prompt of the run file.
        labels: the task's labels.
        fields: the fields that rows have.

    Raises:
        ConfigError: the prompt does not fit; lists all problems.
    """
    slots = slots_of(prompt.input)
    faults = [
        f"prompt.input: rows have no field '{slot}'; {near_misses(slot, fields)}"
        for slot in sorted(slots - {_LABELS} - set(fields))
    ]
    for name in sorted(set(prompt.descriptions) - set(labels)):
        faults.append(f"prompt.descriptions: '{name}' is not one of the task's labels; {near_misses(name, labels)}")
    for number, shown in enumerate(prompt.demonstrations, start=1):
        where = f"prompt.demonstrations, number {number}"
        if shown.label not in labels:
            faults.append(f"{where}: label '{shown.label}' is none of the task's; {near_misses(shown.label, labels)}")
        if missing := sorted(slots - {_LABELS} - set(shown.slots)):
            faults.append(f"{where}: lacks '{missing[0]}', which prompt.input asks for")
        if prompt.format in RATIONALE_FORMATS and not shown.rationale:
            faults.append(f"{where}: format {prompt.format} shows a rationale, but it has none")
    if faults:
        raise ConfigError("the prompt does not fit the task:\n- " + "\n- ".join(faults))


def save_prompt(prompt: LabelPrompt, file: Path) -> None:
    """Write a frozen prompt, which a run file names as ``prompt: {file: FILE}``. Raises `StorageError`."""
    content = {"format": _FILE_FORMAT, "hash": prompt.hash, "prompt": prompt.model_dump(mode="json")}
    write_json(file, content)


def load_prompt(file: Path) -> LabelPrompt:
    """Read a frozen prompt.

    Raises:
        ConfigError: it is missing, cannot be read, or was changed since it was frozen.
    """
    try:
        return LabelPrompt.model_validate(_read(file))
    except ValidationError as error:
        raise ConfigError(f"{file} holds no prompt: {error.errors()[0]['msg']}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def student_prompt(values: dict[str, Any]) -> LabelPrompt:
    """Return the prompt of a saved student that scores labels, from its ``verbaliser.json``.

    Raises:
        ModelError: it is not a valid prompt.
    """
    try:
        return LabelPrompt.model_validate(values)
    except ValidationError as error:
        raise ModelError(
            f"the prompt in the student's verbaliser.json is damaged: {faults_in(error)}. Write the student again"
        ) from error


def _read(file: Path) -> dict[str, Any]:
    """Return the prompt's sections; errors are `ValueError`, for validators of run files."""
    try:
        content = json.loads(file.read_text("utf-8"))
        version, frozen, sections = content["format"], content["hash"], content["prompt"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{file} cannot be read as a prompt file ({error}); expected what limbeck prompts tune writes"
        ) from error
    if version != _FILE_FORMAT:
        raise ValueError(f"{file} is a prompt file of format {version}, but this version reads {_FILE_FORMAT}")
    if not isinstance(sections, dict) or "file" in sections:
        raise ValueError(f"{file} holds no prompt of its own")
    if (own := LabelPrompt.model_validate(sections).hash) != frozen:
        raise ValueError(
            f"{file} was changed since it was frozen (hash {own[:12]}, not {str(frozen)[:12]}). Copy its prompt into "
            "the run file to change it there"
        )
    return sections
