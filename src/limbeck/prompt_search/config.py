"""The file of a prompt search: task, development rows, teacher, the prompt to start from, what is varied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.tasks import Classification
from limbeck.tasks.checked_yaml import load_checked
from limbeck.tasks.run_config import OutputFolder, Sources
from limbeck.teachers.chat.endpoint import ChatEndpoint

__all__ = ["AskedTeacher", "DevelopmentRows", "SearchSpace", "TuneConfig", "load_tune_file"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DevelopmentRows(_Section):
    """Labelled rows to choose a prompt by. Held-out rows have no place here: a prompt would be fitted to them."""

    dev: Sources
    """Rows that prompts are measured on; 100 or more let small differences show."""
    pool: Sources | None = None
    """Rows that demonstrations are taken from; default: three fifths of `dev`, which are then not measured on."""

    @model_validator(mode="before")
    @classmethod
    def _no_held_out_rows(cls, values: Any) -> Any:
        if isinstance(values, dict) and "test" in values:
            raise ValueError("a prompt must not be chosen on held-out rows; remove data.test")
        return values


class AskedTeacher(_Section):
    """The teacher that the prompt is for: exactly one of `model` and `api`."""

    model: str | None = None
    """A causal language model: a folder or hub name."""
    api: ChatEndpoint | None = None
    """An OpenAI-compatible API."""
    journal: str | None = None
    """SQLite file with the API's answers, which runs may share; default: in the output folder."""
    samples: Annotated[int, Field(ge=2, le=100)] = 10
    """Answers a row, of an API without log-probabilities."""
    length_power: Annotated[float, Field(ge=0, le=100)] = 1.0
    """b of ``s = l / |v|^b`` for a local model."""
    bf16: bool = False
    """Load a local model in bfloat16."""
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> AskedTeacher:
        given = [name for name in ("model", "api") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of model, api (given: {', '.join(given) or 'none'})")
        if self.api is None and self.journal is not None:
            raise ValueError("journal goes with api")
        return self


class SearchSpace(_Section):
    """What is varied. A value of 0 or an empty list leaves its part as it is."""

    paraphrases: Annotated[int, Field(ge=0, le=20)] | list[str] = 5
    """Other wordings of the instruction: your own, or how many the teacher shall write."""
    keywords: list[dict[str, str]] = []
    """Swaps of words in the instruction, each a mapping from word to synonym. Labels themselves never change."""
    per_class: list[Annotated[int, Field(ge=1, le=8)]] = [1, 2]
    """Demonstrations of each label; for each number a set by chance, one near the development rows, one diverse."""
    orders: Annotated[int, Field(ge=1, le=6)] = 3
    """Orders of each set of demonstrations."""
    configurations: Annotated[int, Field(ge=2, le=256)] = 32
    """Prompts that are tried on a quarter of the rows; a quarter of them goes on to half, a sixteenth to all."""
    seed: Annotated[int, Field(ge=0)] = 0


class TuneConfig(_Section):
    """A whole file of ``limbeck prompts tune``."""

    task: Classification = Classification()
    data: DevelopmentRows
    teacher: AskedTeacher
    prompt: LabelPrompt = LabelPrompt()
    """The default: what the search starts from, and keeps unless something is clearly better."""
    search: SearchSpace = SearchSpace()
    output: OutputFolder
    """Folder of scores, journal, report and the frozen prompt."""


def load_tune_file(file: Path) -> TuneConfig:
    """Read and check a YAML file of a prompt search. Raises `ConfigError` with all faults, each with its line."""
    return load_checked(file, TuneConfig, "file of a prompt search")
