"""Shared sections of run files: data, the start of a student, a recipe by name, seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = [
    "AboveZero",
    "Data",
    "Filling",
    "FromTeacher",
    "NamedRecipe",
    "OutputFolder",
    "PoolingName",
    "Pruned",
    "RateSearch",
    "RunSettings",
    "Seeds",
    "Sources",
    "Student",
    "listed",
    "name_alone",
    "two_or_more",
]


def _a_path(path: str) -> str:
    if not path.strip():
        raise ValueError("expected a path, got an empty one")
    if "\0" in path or re.search("[\ud800-\udfff]", path):
        raise ValueError(f"expected a path; {path!r} holds a character that no file system takes")
    return path


_Path = Annotated[str, AfterValidator(_a_path)]
Sources = _Path | list[_Path]
OutputFolder = _Path
"""A folder that is created if missing."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Dependents = tuple[tuple[str, str], ...]
"""Settings that may change while nothing in the run folder depends on them: prefixes of their names, and of the files
that depend on them (regular expressions); results always do. The first match counts."""

STUDENTS = r"stages/(?!(\d+-)?teacher-)|predictions/(?!teacher-|student_init-)|"
"""Files of all trained students."""

SEARCH = (
    r"search\.(learning_rate|loss_temperature)",
    r"predictions/(?!(teacher|student_init|source_model|train)-|[^/]*-dev-)|",
)
"""A trial does not depend on the others; the choice does."""


SPEED = (r"speed$", "")
"""Whether speed is measured, once everything else is there."""


def listed(values: Any) -> Any:
    """Read a single value as a list of one, which `two_or_more` refuses in its own words."""
    return [values] if isinstance(values, int | float | str) else values


def two_or_more(values: list[float], what: str, instead: str) -> list[float]:
    """Return the values to try, sorted.

    Raises:
        ValueError: fewer than two, or one of them twice; `what` they are, and `instead` of a search, in words.
    """
    if len(values) < 2 or len(set(values)) < len(values):
        raise ValueError(f"expected two or more different {what}; without a search: {instead}")
    return sorted(values)


def _rates(rates: list[float]) -> list[float]:
    return two_or_more(rates, "learning rates", "training.learning_rate")


AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RateSearch(_Section):
    """A search for the learning rate of each system, with as many trials for all."""

    learning_rate: Annotated[list[AboveZero], BeforeValidator(listed), AfterValidator(_rates)]
    """Each system is trained with each of these and the first seed; the best on development rows is used for all
    seeds. It applies to all stages, in place of ``training.learning_rate`` and the recipe's own."""

    @property
    def count(self) -> int:
        """Return the number of trials of each system."""
        return len(self.learning_rate)

    @property
    def described(self) -> str:
        """Return what is tried, in words."""
        return ", ".join(f"{rate:g}" for rate in self.learning_rate)

    def trials(self, stages: Sequence[Stage]) -> list[dict[str, float]]:
        """Return the settings of each trial of a system with these stages."""
        return [{"learning_rate": rate} for rate in self.learning_rate]


class RunSettings(_Section):
    """A whole run file. Each kind adds its sections, and those below in the usual order of a file."""

    dependents: ClassVar[Dependents] = (
        (r"training\.(?!max_length|early_stopping$)", STUDENTS),  # which also chooses what is trained on
        SEARCH,
        SPEED,
    )

    has_temperature: ClassVar[bool] = False
    """Whether the student's temperature is fitted on ``data.dev``."""

    if TYPE_CHECKING:
        task: Any
        data: Any
        recipe: Any
        training: Any
        baselines: Any
        seeds: list[int]
        search: RateSearch | None
        output: str

    @model_validator(mode="after")
    def _dev_rows_are_read(self) -> Self:
        unread = self.dev_reader is None and not self.has_temperature
        if unread and getattr(self.data, "dev", None) is not None:
            stops = "early_stopping" in type(self.training).model_fields
            readers = "search and training.early_stopping. Add one of them" if stops else "search. Add search"
            raise ValueError(f"data.dev: development rows are for {readers}, or leave them out")
        return self

    @property
    def dev_reader(self) -> Literal["search", "early_stopping"] | None:
        """What needs development rows with labels, if anything does."""
        trained = (self.training, getattr(getattr(self, "teacher", None), "fine_tune", None))
        judged = any(getattr(training, "early_stopping", None) is not None for training in trained)
        return "search" if self.search is not None else "early_stopping" if judged else None

    @classmethod
    def filled(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sections of a run file, not checked yet, with those that a short one stands for.

        Raises:
            ConfigError: they cannot be known.
        """
        return values

    def fillings(self) -> list[Filling]:
        """Return the steps that fill in values after all are checked, in order, each with the setting it concerns.

        Each returns the run with more of it spelled out, or raises `ConfigError`.
        """
        return []

    @property
    def trainings(self) -> int:
        """Return how often each system is trained: with each tried rate, then with each further seed."""
        return len(self.seeds) - 1 + (self.search.count if self.search is not None else 1)


Filling = tuple[tuple[str, ...], Callable[[Any], Any]]


class Data(_Section):
    """The rows: files (JSON Lines, CSV, Parquet), folders of them, or ``hub:org/name``."""

    train: Sources
    """Training rows, labelled or not; several sources are joined."""
    test: Sources | None = None
    """Held-out rows for the report; default: `test_size` of the labelled training rows
    (of all if none is labelled), taken out with a fixed seed."""
    dev: Sources | None = None
    """Rows that are never trained on: for the choices of `search` and of early stopping, and the fit of classifiers'
    temperatures. Default: `search` and early stopping hold out a tenth of the labelled training rows; without them
    there are no such rows, and no temperature."""
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.1
    on_bad_row: Literal["stop", "quarantine"] = "stop"
    """``quarantine``: leave bad rows out and write them, with the reason, to the run folder."""


LayerNames = Literal["first", "last", "middle", "uniform", "spread"] | list[int]


def _layer_count(value: Any) -> Any:
    if value == "half" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10**6):
        return value
    raise ValueError("expected a number of layers, at least 1, or half")


LayerCount = Annotated[int | Literal["half"], BeforeValidator(_layer_count)]
PoolingName = Literal["auto", "mean", "first", "last", "pooler"]
"""How a new head reads the states of a text's tokens (`limbeck.models.pooling.Pooling`). ``auto``: as the model was
trained."""


class FromTeacher(_Section):
    """A student made of copied teacher layers."""

    layers: LayerNames = "spread"
    """The teacher layers, by name or counted from 1."""
    keep: LayerCount | None = None
    """Number of layers, or ``half`` of those there are; with a name."""

    @model_validator(mode="after")
    def _keep_goes_with_a_name(self) -> FromTeacher:
        _require_number(self.layers, self.keep)
        return self


def _size(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10**6
    if value == "half" or whole or (isinstance(value, float) and 0 < value < 1):
        return value
    raise ValueError("expected a number of units, at least 1, or a share of them (half, 0.75)")


UnitCount = Annotated[int | float | Literal["half"], BeforeValidator(_size)]


class Pruned(_Section):
    """A student that is the teacher without its least important units (`limbeck.students.pruning`).

    Every layer of the student has the same shape, as in any Hugging Face model.
    """

    layers: LayerNames = "middle"
    """The teacher layers that are left, by name or counted from 1."""
    keep: LayerCount | None = None
    """Number of layers, or ``half`` of those there are; default: all."""
    hidden: UnitCount | None = None
    """Width of the hidden states, or a share of the teacher's; default: the teacher's."""
    heads: UnitCount | None = None
    """Attention heads of each layer. Heads that share keys and values are cut together."""
    feed_forward: UnitCount | None = None
    """Width of the feed-forward block."""
    rows: Annotated[int, Field(ge=1)] = 256
    """Training rows on which the importance of units is measured."""

    @model_validator(mode="after")
    def _prunes(self) -> Pruned:
        if self.keep is None and isinstance(self.layers, str) and not self.cuts_units:
            raise ValueError("pruned: say what is left: keep (layers), hidden, heads or feed_forward")
        return self

    @property
    def cuts_units(self) -> bool:
        """Whether anything but whole layers is pruned."""
        return any(size is not None for size in (self.hidden, self.heads, self.feed_forward))


def _require_number(layers: str | list[int] | None, keep: LayerCount | None) -> None:
    if isinstance(layers, str) and keep is None:
        raise ValueError(f"layers: {layers} needs keep (the number of layers)")


class Student(_Section):
    """The small model: exactly one of `from_teacher`, `pruned`, `model` and `config`."""

    from_teacher: FromTeacher | None = None
    pruned: Pruned | None = None
    model: str | None = None
    """A folder or hub name of a pretrained model: a small one, or one to take `layers` of."""
    layers: LayerNames | None = None
    """The layers of `model` that the student copies, as in `from_teacher`; default: all, with `keep` ``spread``."""
    keep: LayerCount | None = None
    """Number of layers, or ``half`` of those there are; with a name."""
    config: dict[str, Any] | None = None
    """A Hugging Face configuration (``model_type: bert, num_hidden_layers: 3, ...``) for random weights."""
    word_embeddings: Literal["random", "pca", "teacher"] = "random"
    """Those of a student with `config`; ``pca``: the principal components of the teacher's; ``teacher``: the teacher's
    own, and its other embeddings where they have the same shape."""
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> Student:
        given = [name for name in ("from_teacher", "pruned", "model", "config") if getattr(self, name) is not None]
        if len(given) != 1:
            words = ", ".join(given) or "none"
            raise ValueError(f"give exactly one of from_teacher, pruned, model, config (given: {words})")
        if self.model is None and (self.layers is not None or self.keep is not None):
            raise ValueError("layers and keep are those of model; a student of the teacher's has them in from_teacher")
        _require_number(self.layers, self.keep)
        if self.config is None and self.word_embeddings != "random":
            raise ValueError("word_embeddings are those of a student with config; any other has embeddings already")
        return self

    @property
    def cut(self) -> FromTeacher | None:
        """The layers that are copied, of the teacher or of `model`; ``None``: a whole model."""
        if self.layers is None and self.keep is None:
            return self.from_teacher
        return FromTeacher(layers=self.layers or "spread", keep=self.keep)

    @property
    def of_teacher(self) -> bool:
        """Whether the student starts with weights of the teacher, its head included."""
        return self.from_teacher is not None or self.pruned is not None

    @property
    def unpruned(self) -> Self:
        """The student with the layers of the pruned one and all units of each."""
        assert self.pruned is not None
        whole = self.pruned.model_copy(update={"hidden": None, "heads": None, "feed_forward": None})
        return self.model_copy(update={"pruned": whole})

    def begins_as(self, teacher: str | None) -> str | None:
        """Return the model whose weights the student starts with, `teacher` or its own; ``None`` for random ones."""
        return teacher if self.of_teacher else self.model


_LARGEST_SEED = 2**32 - 1
"""Largest seed of numpy's global generator, which the Hugging Face trainer seeds."""


class NamedRecipe(BaseModel):
    """A recipe's name and its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: ClassVar[str]
    """Kind of task of the run."""
    name: str

    def build(self) -> Recipe:
        """Build the recipe.

        Raises:
            ConfigError: unknown name or argument, or a recipe for other kinds of task.
        """
        return build_recipe(self.name, self.arguments, self.kind)

    @property
    def key(self) -> str:
        """The name in folders and tables of a system trained by it."""
        return self.name.rsplit(":", 1)[-1]

    @property
    def arguments(self) -> dict[str, Any]:
        """The recipe's own arguments."""
        return dict(self.model_extra or {})

    def with_defaults(self) -> Self:
        """Return this recipe with every argument spelled out."""
        return type(self)(name=self.name, **{**recipe_card(self.name).defaults, **self.arguments})


def name_alone(value: Any) -> Any:
    """Convert a recipe's name to a recipe without arguments."""
    return {"name": value} if isinstance(value, str) else value


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds) or not 0 <= min(seeds) <= max(seeds) <= _LARGEST_SEED:
        raise ValueError(f"seeds must be different whole numbers from 0 to {_LARGEST_SEED}")
    return seeds


Seeds = Annotated[list[int], Field(min_length=1), AfterValidator(_different)]
