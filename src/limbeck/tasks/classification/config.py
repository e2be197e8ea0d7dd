"""The run file of a classification run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from limbeck.data.prompts.label_prompt import RATIONALE_FORMATS, LabelPrompt
from limbeck.data.tasks import Classification
from limbeck.errors import ConfigError
from limbeck.recipes.capabilities import Capability, Idle, Lack
from limbeck.recipes.catalogue import build_recipe, recipes_for
from limbeck.stages.early_stopping import EarlyStopping
from limbeck.stages.stage import Stage, Training, require_rows_together
from limbeck.students.adapters import Adapter
from limbeck.tasks.baselines import student_recipes, with_baselines, with_recipe
from limbeck.tasks.classification.auto import filled
from limbeck.tasks.run_config import (
    AboveZero,
    Data,
    Filling,
    FromTeacher,
    NamedRecipe,
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
from limbeck.teachers.chat.endpoint import ChatEndpoint

__all__ = [
    "CONFIG",
    "ClassifierRecipe",
    "ClassifierStudent",
    "ClassifierTraining",
    "Data",
    "FromTeacher",
    "RunConfig",
    "Student",
    "Teacher",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassifierRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "classification"


class ClassifierEarlyStopping(EarlyStopping):
    """How a stage of a classifier is judged."""

    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    """Cross-entropy with the gold labels, or the share of rows that are right."""


class ClassifierTraining(Training):
    """How a classifier is trained."""

    fit_head: bool = True
    """Begin a head that has no trained weights as a logistic regression on the frozen features, for the labels or the
    teacher's probabilities that the first stage reads; otherwise with random weights."""
    early_stopping: ClassifierEarlyStopping | None = None
    """Judge the model on development rows (``data.dev``, or a tenth of the labelled rows, at least 20, which are then
    not trained on) and end with its best weights; default: the last ones."""


Trained = Annotated[ClassifierRecipe, BeforeValidator(name_alone)]
"""A recipe in a run file: its name, or a section."""


def _member(value: Any) -> Any:
    """Read ``tfidf`` as the member it names, and give a model its training."""
    if value == "tfidf":
        return {"tfidf": True}
    if isinstance(value, dict) and value.get("model") is not None and value.get("training") is None:
        return {**value, "training": {}}
    return value


class Member(_Section):
    """A member of an ensemble: exactly one of `tfidf`, `model` and `labels_from`."""

    tfidf: bool = False
    """TF-IDF and logistic regression; ``tfidf`` alone is short for it."""
    model: str | None = None
    """A folder in Hugging Face format or a hub name: a pretrained encoder."""
    recipe: Trained = ClassifierRecipe(name="fine_tune")
    """How the model learns the labels: any recipe without a teacher."""
    training: ClassifierTraining | None = None
    """How the model is trained."""
    pooling: PoolingName = "auto"
    """How its head reads the states of a text's tokens."""
    labels_from: str | None = None
    """Field of the rows with another model's label."""
    confidence: str | None = None
    """Field with its confidence, from 0 to 1; default: certain."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""

    @model_validator(mode="after")
    def _one_kind(self) -> Member:
        kinds = {"tfidf": self.tfidf, "model": self.model is not None, "labels_from": self.labels_from is not None}
        given = [name for name, there in kinds.items() if there]
        if len(given) != 1:
            raise ValueError(f"give exactly one of tfidf, model, labels_from (given: {', '.join(given) or 'none'})")
        of_model = self.training is not None or self.recipe.name != "fine_tune" or self.pooling != "auto"
        if self.model is None and of_model:
            raise ValueError("recipe, training and pooling are for a member with a model")
        if self.labels_from is None and self.confidence is not None:
            raise ValueError("confidence needs labels_from, the field with the label")
        if self.training is not None and self.training.early_stopping is not None:
            raise ValueError("early_stopping is not for members of an ensemble: they have no development rows")
        return self


class Ensemble(_Section):
    """Several models that answer as one. Those that learn are cross-fitted: none answers a row that it learned."""

    members: Annotated[list[Annotated[Member, BeforeValidator(_member)]], Field(min_length=1, max_length=20)]
    folds: Annotated[int, Field(ge=2, le=20)] = 3
    """Parts of the rows that are learned. Each member is trained once for each part, on all the others."""
    refit: bool = False
    """Train each member once more, on all rows that are learned, for the rows that are not: unlabelled and held-out
    ones. Otherwise these get the mean of its models of all folds."""
    rounds: Annotated[int, Field(ge=1, le=10)] = 1
    """How often all members are trained: in each further round, rows with a label of `labels_from` alone have that of
    the previous round's ensemble in its place."""

    @property
    def column(self) -> Member | None:
        """The member that is a field of the rows, if there is one."""
        return next((member for member in self.members if member.labels_from is not None), None)

    @model_validator(mode="after")
    def _members_that_learn(self) -> Ensemble:
        if sum(member.labels_from is not None for member in self.members) > 1:
            raise ValueError("members: only one of them can be labels_from")
        if sum(member.tfidf for member in self.members) > 1:
            raise ValueError("members: tfidf is there twice, and both would learn the same")
        if self.rounds > 1 and self.column is None:
            raise ValueError("rounds: gold labels stay as they are, so more rounds need a member with labels_from")
        if all(member.labels_from is not None for member in self.members):
            raise ValueError(
                "members: labels_from alone is no ensemble. Add tfidf or a model, or use teacher.labels_from"
            )
        return self


class Teacher(_Section):
    """The teacher: exactly one of `model`, `api`, `labels_from` and `ensemble`."""

    model: str | None = None
    """A folder in Hugging Face format or a hub name: a fine-tuned classifier, or a pretrained encoder; with `prompt`
    a causal language model."""
    fine_tune: ClassifierTraining | None = None
    """Train it on the labelled rows first."""
    recipe: Trained = ClassifierRecipe(name="fine_tune")
    """How: any recipe without a teacher. Another than ``fine_tune`` needs no `fine_tune` section."""
    pooling: PoolingName = "auto"
    """How the classifier of an encoder that is trained so reads the states of a text's tokens."""
    api: ChatEndpoint | None = None
    """An OpenAI-compatible API, asked with `prompt`."""
    prompt: LabelPrompt | None = None
    """The prompt that asks the teacher for a label."""
    calibration: list[Literal["contextual", "temperature"]] = []
    """Calibration of a prompted teacher's probabilities, in order. ``contextual``: divide by its answers to
    content-free inputs. ``temperature``: fitted on the training rows with a gold label."""
    samples: Annotated[int, Field(ge=1, le=1000)] = 10
    """Answers per text, for an API without log-probabilities."""
    orders_must_agree: bool = False
    """Leave out training rows whose label changes with the order of the options; for an API with log-probabilities."""
    pilot: Annotated[int, Field(ge=0, le=10_000)] = 40
    """Labelled rows that a prompted teacher is asked about first; the run stops if it is no better on them than always
    giving the most frequent label. 0: none."""
    journal: str | None = None
    """File with an API's answers, which several runs may share; default: in the run folder."""
    labels_from: str | None = None
    """Field of the rows with the teacher's label; there is no model then."""
    confidence: str | None = None
    """Field with the teacher's confidence, from 0 to 1; default: certain."""
    rationale: str | None = None
    """Field of the rows with the teacher's rationale in English, for recipes that learn from it."""
    ensemble: Ensemble | None = None
    """Several models, trained on the rows' labels, whose weighted mean is the teacher."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""

    @property
    def is_classifier(self) -> bool:
        """Whether the teacher has its own class logits, rather than labels for the rows."""
        return self.model is not None and self.prompt is None

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
        column = self.ensemble.column if self.ensemble is not None else None
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
        if self.labels_from is None and self.confidence is not None:
            raise ValueError("confidence needs labels_from, the field with the teacher's label")
        if self.api is not None and self.prompt is None:
            raise ValueError("api needs a prompt, which asks the teacher for a label")
        if self.labels_from is not None and self.prompt is not None:
            raise ValueError("prompt is for a teacher that is asked; with labels_from the rows hold its answers")
        if self.ensemble is not None and self.prompt is not None:
            raise ValueError("prompt is for a teacher that is asked; an ensemble reads the texts as they are")
        if self.calibration and self.prompt is None:
            raise ValueError("calibration is for a teacher with a prompt")
        if self.journal is not None and self.api is None:
            raise ValueError("journal is for a teacher with an api")
        if self.orders_must_agree and (self.api is None or self.api.log_probs == 0):
            raise ValueError("orders_must_agree is for an api with log_probs, which is asked in every order of labels")
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
    return config


def _described(config: RunConfig) -> RunConfig:
    """Put the task's descriptions of labels into the prompts, which are then recorded as they are read.

    Raises:
        ConfigError: a prompt contradicts them.
    """
    sections: dict[str, Teacher | ClassifierStudent] = {"teacher": config.teacher, "student": config.student}
    for name, section in sections.items():
        if section.prompt is not None:
            told = {"prompt": section.prompt.described(config.task.descriptions)}
            config = config.model_copy(update={name: section.model_copy(update=told)})
    return config


def _offers(config: RunConfig) -> Iterator[Lack | Idle]:
    """Yield what recipes miss in this run, and options that are only for some recipes."""
    teacher, student, states = config.teacher, config.student, (Capability.HIDDEN_STATES, Capability.FIRST_STATES)
    others = "Use a recipe on class probabilities (kd; anon without hidden_weight), or another teacher"
    if teacher.model is None:
        kind = next(name for name in ("api", "labels_from", "ensemble") if getattr(teacher, name) is not None)
        for state in states:
            yield Lack(state, f"teacher.{kind} gives labels only", others)
    if teacher.prompt is not None:
        yield Lack(Capability.FIRST_STATES, "a model with teacher.prompt has none", others)
    if teacher.rationale is not None:
        yield Idle(Capability.RATIONALES, "teacher.rationale", "Use anon with rationale_weight, or leave it out")
    if teacher.is_classifier:
        yield Lack(Capability.RATIONALES, "a teacher that is a classifier gives none", "Use a column, prompt or api")
    if student.head == "verbaliser":
        yield Lack(Capability.FEATURES, "student.head: verbaliser has no such head", "Use head: linear")
    else:
        yield Lack(Capability.RATIONALES, "this student.head writes none", "Use student.head: verbaliser")
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
