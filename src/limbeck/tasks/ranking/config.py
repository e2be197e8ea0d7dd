"""The run file of a cross-lingual run (``task.kind: ranking``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from limbeck.data.instructions.layouts import LAYOUTS
from limbeck.data.languages import language_code
from limbeck.data.prompts.choice import PromptChoice
from limbeck.errors import DataError, near_misses
from limbeck.stages.stage import Training
from limbeck.tasks.run_config import (
    SEARCH,
    Filling,
    NamedRecipe,
    OutputFolder,
    RateSearch,
    RunSettings,
    Seeds,
    name_alone,
)

__all__ = [
    "CONFIG",
    "AlignmentRecipe",
    "Backbone",
    "InstructionData",
    "InstructionSet",
    "InstructionTask",
    "LanguageRunConfig",
    "LanguageTraining",
    "Rate",
]

_BATCH = 64


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _code(lang: str) -> str:
    try:
        return language_code(lang)
    except DataError as error:
        raise ValueError(str(error)) from error


class InstructionTask(_Section):
    """Give the same answers in many languages from labels in one."""

    kind: Literal["ranking"]
    source_language: str = "en"
    """The language of the labels."""
    languages: Annotated[list[str], Field(min_length=1)]
    """Target languages, as ISO 639 codes or in the set's own words."""
    high_resource: list[str] = []
    """Target languages to be shown apart as high-resource; all others are low-resource."""

    @field_validator("source_language")
    @classmethod
    def _source_code(cls, lang: str) -> str:
        return _code(lang)

    @field_validator("languages", "high_resource")
    @classmethod
    def _codes(cls, languages: list[str]) -> list[str]:
        codes = [_code(lang) for lang in languages]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"given twice: {', '.join(twice)}")
        return codes

    @model_validator(mode="after")
    def _languages_fit(self) -> InstructionTask:
        if self.source_language in self.languages:
            raise ValueError(f"the source language '{self.source_language}' cannot be a target language too")
        if other := [lang for lang in self.high_resource if lang not in self.languages]:
            raise ValueError(f"high_resource names languages that are no targets: {', '.join(other)}")
        return self


class InstructionSet(BaseModel):
    """A data set in one of three layouts; further keys are options of the layout."""

    model_config = ConfigDict(extra="allow", frozen=True)

    layout: str
    """``rows`` (one of a few labels), ``candidates`` (each row lists its own) or ``rows_translation`` (sentences)."""
    folder: str
    train: Literal["train", "dev"] = "train"
    """The set's own split to train on."""
    test: Literal["dev", "test"] = "test"
    """The set's own split that the report is about."""
    test_in: dict[str, Literal["dev", "test"]] = {}
    """Another split for some languages, where a set has no test rows in one."""
    languages: list[str] | None = None
    """Target languages to read; default: all of the task's."""

    @field_validator("layout")
    @classmethod
    def _known(cls, layout: str) -> str:
        if layout not in LAYOUTS:
            raise ValueError(f"no layout '{layout}'; {near_misses(layout, LAYOUTS)}")
        return layout

    @field_validator("languages")
    @classmethod
    def _codes(cls, languages: list[str] | None) -> list[str] | None:
        return None if languages is None else [_code(lang) for lang in languages]

    @property
    def options(self) -> dict[str, Any]:
        """Options of the layout."""
        return dict(self.model_extra or {})


class InstructionData(_Section):
    """Sources of the records, and the numbers of target-language labels to train with."""

    sets: Annotated[list[InstructionSet], Field(min_length=1)]
    shots: Annotated[list[Annotated[int, Field(ge=0, le=10**9)]], Field(min_length=1)] = [0, 16, 128]
    """Labelled records for each task and target language; systems are trained and compared at each."""
    overlap: Literal["stop", "leave_out"] = "stop"
    """What to do with training texts that are test texts too."""

    @field_validator("shots", mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) else value

    @field_validator("shots")
    @classmethod
    def _rising(cls, budgets: list[int]) -> list[int]:
        return sorted(set(budgets))


class Backbone(_Section):
    """The pretrained multilingual encoder that all systems start from."""

    model: str
    """A folder in Hugging Face format or a hub name, e.g. ``FacebookAI/xlm-roberta-base``."""
    scorer: Literal["cross_encoder", "dual_encoder", "auto"] = "auto"
    """``auto``: a cross encoder for up to 64 candidates, else a dual encoder."""
    max_length: Annotated[int, Field(gt=0, le=10**9)] = 256
    """Most positions of a sequence, prompts included."""
    trust_remote_code: bool = False


class AlignmentRecipe(NamedRecipe):
    """A cross-lingual recipe's name and its arguments."""

    kind = "ranking"


class _Source(Training):
    num_train_epochs: Annotated[float, Field(gt=0, le=1e6)] = 3.0
    batch_size: Annotated[int, Field(gt=0, le=10**9)] = _BATCH
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    prompt_learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 1e-3
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.06


class _Distillation(_Source):
    num_train_epochs: Annotated[float, Field(gt=0, le=1e6)] = 2.0
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5e-6


class _Target(_Source):
    num_train_epochs: Annotated[float, Field(gt=0, le=1e6)] = 5.0
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5e-6


class LanguageTraining(_Section):
    """Training settings of each stage. Baselines get the same total number of steps."""

    source: _Source = _Source()
    distillation: _Distillation = _Distillation()
    target: _Target = _Target()

    @model_validator(mode="after")
    def _length_is_the_backbones(self) -> LanguageTraining:
        for name in ("source", "distillation", "target"):
            if getattr(self, name).max_length is not None:
                raise ValueError(f"{name}.max_length: one length holds for all stages; set backbone.max_length")
        return self


class Rate(_Section):
    """Price of a device hour; with it the report shows the cost of each system."""

    per_device_hour: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    currency: Annotated[str, Field(min_length=1, max_length=12)]
    """As it is to be shown, e.g. ``EUR``."""


NameOrRecipe = Annotated[AlignmentRecipe, BeforeValidator(name_alone)]


class LanguageRunConfig(RunSettings):
    """A whole cross-lingual run file."""

    dependents = (
        SEARCH,
        (
            r"training\.(distillation|target)\.",
            r"stages/seed\d+/(?!source_model/)|predictions/(?!source_model-|teacher-)|",
        ),
        (r"(rate|task\.high_resource)", ""),
    )

    task: InstructionTask
    data: InstructionData
    backbone: Backbone
    prompts: PromptChoice = PromptChoice()
    recipe: NameOrRecipe = AlignmentRecipe(name="ml_ipd")
    baselines: list[NameOrRecipe] = [AlignmentRecipe(name=n) for n in ("ml_dft", "pl_bl", "rl_ia", "transfer")]
    """Systems to compare with, on the same data, steps and seeds."""
    training: LanguageTraining = LanguageTraining()
    rate: Rate | None = None
    """A price, if costs are to be shown in money."""
    search: RateSearch | None = None
    """Find the learning rate of each system at each number of labels first, in place of those of `training` but the
    English model's."""
    seeds: Seeds = [0]
    """Each seed has its own English model, sample of target records and students."""
    output: OutputFolder
    """The run folder."""
    provenance: dict[str, Any] = {}
    """Written by limbeck into run.yaml: versions, hardware, fingerprints. Not read."""

    @model_validator(mode="after")
    def _systems_differ(self) -> LanguageRunConfig:
        names = [recipe.key for recipe in (self.recipe, *self.baselines)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"recipe and baselines name a system twice: {', '.join(twice)}")
        return self

    def recipes(self) -> list[AlignmentRecipe]:
        """The main system and its baselines."""
        return [self.recipe, *self.baselines]

    def fillings(self) -> list[Filling]:
        """Return what is filled in once all values are valid: the arguments of all recipes."""
        return [(("recipe",), LanguageRunConfig._spelled_out)]

    def _spelled_out(self) -> LanguageRunConfig:
        """Return this run with every recipe's arguments spelled out. Raises `ConfigError` where one is wrong."""
        for recipe in self.recipes():
            recipe.build()
        return self.model_copy(
            update={
                "recipe": self.recipe.with_defaults(),
                "baselines": [baseline.with_defaults() for baseline in self.baselines],
            }
        )


CONFIG = LanguageRunConfig
