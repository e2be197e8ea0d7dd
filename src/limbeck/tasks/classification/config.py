"""The run file of a classification run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from limbeck.data.prompts.label_prompt import RATIONALE_FORMATS, LabelPrompt
from limbeck.data.tasks import Classification
from limbeck.errors import ConfigError
from limbeck.recipes.capabilities import Capability, Idle, Lack
from limbeck.recipes.catalogue import build_recipe, recipes_for
from limbeck.stages.outer_loop import require_outer_loop
from limbeck.stages.stage import Stage, require_rows_together
from limbeck.students.adapters import Adapter
from limbeck.tasks.baselines import pruning_lacks, student_recipes, with_baselines, with_recipe
from limbeck.tasks.classification.auto import filled
from limbeck.tasks.classification.ensemble.config import Ensemble
from limbeck.tasks.classification.labeller import Labeller
from limbeck.tasks.classification.training_config import ClassifierRecipe, ClassifierTraining, Trained
from limbeck.tasks.run_config import (
    AboveZero,
    Data,
    Filling,
    FromTeacher,
    OutputFolder,
    PoolingName,
    RateSearch,
    RunSettings,
    Seeds,
    Student,
    listed,
    name_alone,
    two_or_more,
)

__all__ = [
    "CONFIG",
    "ClassifierStudent",
    "Data",
    "FromTeacher",
    "RunConfig",
    "Student",
    "Teacher",
]


class Teacher(Labeller):
    """The teacher: exactly one of `model`, `api`, `labels_from` and `ensemble`.

    `model` is a fine-tuned classifier, or a pretrained encoder; with `prompt` a causal language model.
    """

    fine_tune: ClassifierTraining | None = None
    """Train it on the labelled rows first."""
    recipe: Trained = ClassifierRecipe(name="fine_tune")
    """How: any recipe without a teacher. Another than ``fine_tune`` needs no `fine_tune` section."""
    pooling: PoolingName = "auto"
    """How the classifier of an encoder that is trained so reads the states of a text's tokens."""
    rationale: str | None = None
    """Field of the rows with the teacher's rationale in English, for recipes that learn from it."""
    ensemble: Ensemble | None = None
    """Several models, trained on the rows' labels, whose weighted mean is the teacher."""

    @property
    def is_classifier(self) -> bool:
        """Whether the teacher has its own class logits, rather than labels for the rows."""
        return self.model is not None and self.prompt is None

    @property
    def asked(self) -> Labeller | None:
        """The section of what is asked with a prompt: the teacher itself, or a member of its ensemble."""
        one = self.ensemble.labeller if self.ensemble is not None else self
        return one if one is not None and one.prompt is not None else None

    @property
    def asked_at(self) -> tuple[str | int, ...]:
        """The place of that section in the run file."""
        place = None if self.ensemble is None else self.ensemble.labeller_place
        return ("teacher",) if place is None else ("teacher", "ensemble", "members", place)

    def with_prompt(self, prompt: LabelPrompt) -> Teacher:
        """Return the teacher with another prompt for what is asked."""
        if self.ensemble is None:
            return self.model_copy(update={"prompt": prompt})
        return self.model_copy(update={"ensemble": self.ensemble.with_prompt(prompt)})

    @model_validator(mode="before")
    @classmethod
    def _a_recipe_trains(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("recipe") is not None and values.get("fine_tune") is None:
            named = name_alone(values["recipe"])
            finished = ClassifierRecipe(name="fine_tune")  # what run.yaml says of a teacher that is not trained
            return values if named in (finished, finished.model_dump()) else {**values, "fine_tune": {}}
        return values

    @property
    def label_fields(self) -> dict[str, str | None]:
        """The fields of the rows with labels of a model, and with its confidence, by the names of their settings."""
        column = self.ensemble.labeller if self.ensemble is not None else None
        where = "" if column is None else "ensemble.members."
        section = self if column is None else column
        return {f"{where}labels_from": section.labels_from, f"{where}confidence": section.confidence}

    @model_validator(mode="after")
    def _one_kind(self) -> Teacher:
        kinds = ("model", "api", "labels_from", "ensemble")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)} (given: {', '.join(given) or 'none'})")
        if self.fine_tune is not None and not self.is_classifier:
            raise ValueError("fine_tune is for a teacher with a classifier's model; labels and prompts are final")
        if self.fine_tune is None and self.pooling != "auto":
            raise ValueError("pooling is for a teacher with fine_tune; a trained one is read as it was trained")
        if self.ensemble is not None and self.prompt is not None:
            raise ValueError(
                "prompt is for a teacher that is asked; an ensemble reads the texts as they are. A member of it may "
                "have a prompt"
            )
        self.require_matching_keys()
        return self


class ClassifierStudent(Student):
    """The small model, and the part of it that is trained."""

    adapter: Adapter | None = None
    """Train only an adapter and the classification head; default: train everything."""
    head: Literal["linear", "verbaliser"] = "linear"
    """``linear``: a map from the states of the last layer, trained from scratch. ``verbaliser``: a causal language
    model's probability of each label after a prompt."""
    pooling: PoolingName = "auto"
    """How a linear head reads the states of a text's tokens. ``auto``: as the teacher that it is copied from, or as
    its own model was trained."""
    prompt: LabelPrompt | None = None
    """The prompt around a text with ``head: verbaliser``; default: the teacher's prompt, or the text and a heading."""

    @model_validator(mode="after")
    def _words_of_a_model(self) -> ClassifierStudent:
        if self.head == "verbaliser" and self.model is None:
            raise ValueError("head: verbaliser needs a causal language model with trained weights: give model")
        if self.head == "linear" and self.prompt is not None:
            raise ValueError("prompt needs head: verbaliser; a linear head reads the text as it is")
        if self.head == "verbaliser" and self.pooling != "auto":
            raise ValueError("pooling is for head: linear; a verbaliser reads the label's own tokens")
        return self


def _temperatures(values: list[float]) -> list[float]:
    return two_or_more(values, "loss temperatures", "recipe.loss_temperature")


class ClassifierSearch(RateSearch):
    """A search for the learning rate of each system, and for the temperature of its loss."""

    loss_temperature: Annotated[list[AboveZero], BeforeValidator(listed), AfterValidator(_temperatures)] | None = None
    """Each system is trained with each pair of a learning rate and one of these, in place of its recipe's
    ``loss_temperature``. A recipe without one is tried at as many learning rates instead: those of `learning_rate`,
    and others between them."""

    @property
    def count(self) -> int:
        """Return the number of trials of each system."""
        return len(self.learning_rate) * len(self.loss_temperature or [1])

    @property
    def described(self) -> str:
        """Return what is tried, in words."""
        if self.loss_temperature is None:
            return super().described
        temperatures = ", ".join(f"{one:g}" for one in self.loss_temperature)
        return f"{super().described}, each at the loss temperatures {temperatures} (or with other rates between them)"

    def trials(self, stages: Sequence[Stage]) -> list[dict[str, float]]:
        """Return the settings of each trial of a system with these stages."""
        if self.loss_temperature is None:
            return super().trials(stages)
        if not any(stage.has_loss_temperature for stage in stages):
            return [{"learning_rate": rate} for rate in _with_others_between(self.learning_rate, self.count)]
        pairs = product(self.learning_rate, self.loss_temperature)
        return [{"learning_rate": rate, "loss_temperature": temperature} for rate, temperature in pairs]


def _with_others_between(rates: list[float], count: int) -> list[float]:
    """Return `count` rates: the given ones, and others at equal ratios within each gap.

    >>> _with_others_between([1e-5, 1e-3], 3)
    [1e-05, 0.0001, 0.001]
    """
    gaps, others = len(rates) - 1, count - len(rates)
    found = list(rates)
    for gap, (low, high) in enumerate(pairwise(rates)):
        within = others // gaps + (gap < others % gaps)
        found += [float(f"{low * (high / low) ** (i / (within + 1)):.4g}") for i in range(1, within + 1)]
    return sorted(found)


class RunConfig(RunSettings):
    """A whole run file of a classifier."""

    has_temperature = True
    dependents = (*RunSettings.dependents, (r"simple_baselines$|minutes$", ""))

    task: Classification = Classification()
    data: Data
    teacher: Teacher
    student: ClassifierStudent
    recipe: Trained
    training: ClassifierTraining = ClassifierTraining()
    search: ClassifierSearch | None = None
    """Search for each system's learning rate, and loss temperature, first."""
    speed: bool = True
    """Measure speed and memory at the end of the run, in a few seconds; else only sizes are known."""
    minutes: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """How long the trainings may take: sets ``training.max_steps``, if that is not given, by what this machine needs
    for the teacher and for a step. Each student has at least 200 steps, and at most ten passes over the rows."""
    seeds: Seeds = [0]
    """One student is trained per seed; a test over seeds needs three or more."""
    baselines: list[Trained] = [ClassifierRecipe(name="fine_tune")]
    """Recipes of students to compare with: from the same start, with the same steps, batches and seeds."""
    simple_baselines: bool = True
    """Whether to compare with logistic regression on TF-IDF and on frozen embeddings too, which takes seconds."""
    output: OutputFolder
    """The run folder."""
    provenance: dict[str, Any] = {}
    """Written by limbeck into run.yaml: versions, hardware, fingerprints. Not read."""

    @classmethod
    def filled(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the whole run file that ``recipe: auto`` stands for."""
        return filled(values)

    @model_validator(mode="after")
    def _student_of_a_teacher_without_weights(self) -> RunConfig:
        if not self.teacher.is_classifier and self.student.model is None:
            raise ValueError("student: this teacher has no layers or tokenizer to copy; give student.model")
        return self

    def fillings(self) -> list[Filling]:
        """Return the steps that fill in values after all are checked: arguments of recipes, and labels in prompts."""
        return [
            (("recipe",), lambda config: with_recipe(config, _offers(config))),
            (("baselines",), lambda config: with_baselines(config, list(_offers(config)))),
            (("teacher", "recipe"), _with_teacher_recipe),
            (("teacher", "ensemble"), _with_share_asked_again),
            (("training",), _with_whole_steps),
            (("task", "labels"), _described),
        ]

    def recipes(self) -> dict[str, ClassifierRecipe]:
        """The recipes of all students by the names of their systems, the main one first."""
        return student_recipes(self.recipe, self.baselines)


def _with_teacher_recipe(config: RunConfig) -> RunConfig:
    """Spell out the arguments of the teacher's recipe, or of its members'.

    Raises:
        ConfigError: a recipe is wrong, or needs a teacher itself.
    """
    teacher, ensemble = config.teacher, config.teacher.ensemble
    changes: dict[str, Any] = {"recipe": _alone(teacher.recipe, "teacher.recipe")}
    if ensemble is not None:
        members = [
            member.model_copy(update={"recipe": _alone(member.recipe, f"teacher.ensemble.members.{place}.recipe")})
            for place, member in enumerate(ensemble.members)
        ]
        changes["ensemble"] = ensemble.model_copy(update={"members": members})
    return config.model_copy(update={"teacher": teacher.model_copy(update=changes)})


def _with_share_asked_again(config: RunConfig) -> RunConfig:
    """Spell out how many rows an API in an ensemble may be asked about again."""
    teacher = config.teacher
    if teacher.ensemble is None:
        return config
    changed = teacher.model_copy(update={"ensemble": teacher.ensemble.with_share()})
    return config.model_copy(update={"teacher": changed})


def _alone(named: ClassifierRecipe, where: str) -> ClassifierRecipe:
    """Return a teacher's recipe with its arguments spelled out. Raises `ConfigError` if it needs a teacher."""
    try:
        plain = named.build().plain
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not plain:
        alone = [name for name in recipes_for(named.kind) if build_recipe(name, {}, named.kind).plain]
        raise ConfigError(
            f"{where}: '{named.name}' needs a teacher or its texts, and this is the teacher. Recipes without "
            f"one: {', '.join(alone)}"
        )
    return named.with_defaults()


def _with_whole_steps(config: RunConfig) -> RunConfig:
    """Return the run, if its micro-batches keep together what its terms compare. Raises `ConfigError`."""
    teacher = config.teacher
    trained = [(one, config.training) for one in config.recipes().values()]
    trained += [] if teacher.fine_tune is None else [(teacher.recipe, teacher.fine_tune)]
    trained += [
        (one.recipe, one.training)
        for one in (teacher.ensemble.members if teacher.ensemble is not None else [])
        if one.training is not None
    ]
    for recipe, training in trained:
        for stage in recipe.build().stages:
            require_rows_together(stage, training.micro_batch_size or training.batch_size, training.batch_size)
            require_outer_loop(stage, training)
    return config


def _described(config: RunConfig) -> RunConfig:
    """Put the task's descriptions of labels into the prompts, which are then recorded as they are read.

    Raises:
        ConfigError: a prompt contradicts them.
    """
    asked, prompt, descriptions = config.teacher.asked, config.student.prompt, config.task.descriptions
    if asked is not None and asked.prompt is not None:
        teacher = config.teacher.with_prompt(asked.prompt.described(descriptions))
        config = config.model_copy(update={"teacher": teacher})
    if prompt is not None:
        student = config.student.model_copy(update={"prompt": prompt.described(descriptions)})
        config = config.model_copy(update={"student": student})
    return config


def _offers(config: RunConfig) -> Iterator[Lack | Idle]:
    """Yield what recipes miss in this run, and options that are only for some recipes."""
    teacher, student = config.teacher, config.student
    states = (Capability.HIDDEN_STATES, Capability.FIRST_STATES, Capability.PROBES)
    others = "Use a recipe on class probabilities (kd; anon without hidden_weight), or another teacher"
    if teacher.model is None:
        kind = next(name for name in ("api", "labels_from", "ensemble") if getattr(teacher, name) is not None)
        for state in states:
            yield Lack(state, f"teacher.{kind} gives labels only", others)
    if not teacher.is_classifier:
        kind = next(name for name in ("prompt", "labels_from", "ensemble") if getattr(teacher, name) is not None)
        advice = "Use a teacher that is a classifier (teacher.model), or a recipe that leaves it as it is (pkd, kd)"
        yield Lack(Capability.TRAINED_TEACHER, f"with teacher.{kind} it has no classifier to train", advice)
    if teacher.prompt is not None:
        yield Lack(Capability.FIRST_STATES, "a model with teacher.prompt has none", others)
        yield Lack(Capability.PROBES, "a model with teacher.prompt reads other texts than its student", others)
    if teacher.rationale is not None:
        yield Idle(Capability.RATIONALES, "teacher.rationale", "Use anon with rationale_weight, or leave it out")
    if teacher.is_classifier:
        yield Lack(Capability.RATIONALES, "a teacher that is a classifier gives none", "Use a column, prompt or api")
    yield from pruning_lacks(student, config.training)
    if student.head == "verbaliser":
        yield Lack(Capability.FEATURES, "student.head: verbaliser has no such head", "Use head: linear")
        yield Lack(Capability.PROBES, "student.head: verbaliser reads each text several times", "Use head: linear")
        yield Lack(Capability.TRAINED_TEACHER, "student.head: verbaliser is not for that", "Use head: linear")
    else:
        yield Lack(Capability.RATIONALES, "this student.head writes none", "Use student.head: verbaliser")
    if student.adapter is not None and student.adapter.kind == "qlora":
        advice = "Use student.adapter with kind: lora"
        yield Lack(Capability.TRAINED_TEACHER, "4-bit weights (kind: qlora) have no second derivative", advice)
    if student.adapter is not None and student.adapter.kind in ("prompt", "prefix"):
        advice = "Use student.adapter with kind: lora, houlsby or bitfit"
        yield Lack(Capability.RATIONALES, "a student with soft vectors (student.adapter) cannot write", advice)
    asks = teacher.api is not None and teacher.prompt is not None and teacher.prompt.format in RATIONALE_FORMATS
    if teacher.rationale is None and not asks:
        advice = f"An API is asked for them if its prompt.format is {' or '.join(RATIONALE_FORMATS)}"
        yield Lack(
            Capability.RATIONALES, "teacher.rationale does not name the field of the rows that has them", advice
        )


CONFIG = RunConfig
