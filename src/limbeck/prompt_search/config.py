"""The file of a prompt search: task, development rows, teacher, starting prompt, search space."""

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
    """Labelled rows to choose a prompt on. Held-out rows must not be used: the prompt would be fitted to them."""

    dev: Sources
    """Rows that prompts are measured on; 100 or more reveal small differences."""
    pool: Sources | None = None
    """Rows for demonstrations; default: three fifths of `dev`, on which prompts are then not measured."""

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
    """SQLite file with the API's answers, which several runs may share; default: in the output folder."""
    samples: Annotated[int, Field(ge=2, le=100)] = 10
    """Answers per row, for an API without log-probabilities."""
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
            raise ValueError("journal needs api")
        return self


class SearchSpace(_Section):
    """What the search varies. A value of 0 or an empty list leaves a part unchanged."""

    paraphrases: Annotated[int, Field(ge=0, le=20)] | list[str] = 5
    """Other wordings of the instruction: your own, or the number that the teacher generates."""
    keywords: list[dict[str, str]] = []
    """Word swaps in the instruction, each a mapping from word to synonym. Labels themselves never change."""
    per_class: list[Annotated[int, Field(ge=1, le=8)]] = [1, 2]
    """Demonstrations per label; each number gives a random set, one near the development rows and a diverse one."""
    orders: Annotated[int, Field(ge=1, le=6)] = 3
    """Orders of each set of demonstrations."""
    configurations: Annotated[int, Field(ge=2, le=256)] = 32
    """Prompts that are tried on a quarter of the rows; a quarter of them continues to half, a sixteenth to all."""
    seed: Annotated[int, Field(ge=0)] = 0


class TuneConfig(_Section):
    """A file of ``limbeck prompts tune``."""

    task: Classification = Classification()
    data: DevelopmentRows
    teacher: AskedTeacher
    prompt: LabelPrompt = LabelPrompt()
    """The default: the starting prompt, which is kept unless another is clearly better."""
    search: SearchSpace = SearchSpace()
    output: OutputFolder
    """Folder for scores, journal, report and the frozen prompt."""


def load_tune_file(file: Path) -> TuneConfig:
    """Read and check a YAML file of a prompt search. Raises `ConfigError` with all faults and their lines."""
    return load_checked(file, TuneConfig, "file of a prompt search")
