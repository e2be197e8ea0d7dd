"""The run file of a generative student (``task.kind: generation``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from limbeck.data.generation.task import Generation
from limbeck.errors import ConfigError
from limbeck.recipes.capabilities import Capability, Idle, Lack
from limbeck.stages.early_stopping import EarlyStopping
from limbeck.stages.stage import Training
from limbeck.tasks.baselines import pruning_lacks, student_recipes, with_baselines, with_recipe
from limbeck.tasks.run_config import (
    SEARCH,
    SPEED,
    STUDENTS,
    Data,
    Filling,
    NamedRecipe,
    OutputFolder,
    RateSearch,
    RunSettings,
    Seeds,
    Sources,
    Student,
    name_alone,
)
from limbeck.teachers.chat.endpoint import Endpoint

__all__ = ["CONFIG", "Answers", "TextData", "TextRunConfig", "TextTeacher", "TextTraining", "WritingRecipe"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextData(Data):
    """The rows, and additional plain text."""

    corpus: Sources | None = None
    """Plain text (field ``text``) for recipes that mix it into the training, against forgetting."""


class TextTraining(Training):
    """The training of a generative model."""

    packing: bool = False
    """Pack several short texts into one row of at most `max_length` tokens, without attention between them: less
    padding. For causal models, and for stages whose texts exist before they start."""
    early_stopping: EarlyStopping | None = None
    """Judge the model by its loss per token on the completions of development rows (``data.dev``, or a tenth of the
    training rows with completions, at least 20, which are then not trained on), and end with its best weights;
    default: the last ones."""


class TextTeacher(_Section):
    """The large model."""

    model: str
    """A folder in Hugging Face format or a hub name of a causal or sequence-to-sequence language model. With `server`
    only its tokenizer is loaded."""
    server: Endpoint | None = None
    """Where the teacher runs, if its weights are not available: an OpenAI-compatible API with vLLM's
    ``prompt_logprobs``. ``limbeck store`` asks it, and the run reads the store."""
    fine_tune: TextTraining | None = None
    """Fine-tune it on the rows' completions first."""
    precision: Literal["float32", "bf16"] = "float32"
    """Precision of its weights; bf16 takes half the memory, and is slow on CPUs."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """Engine that generates the teacher's texts (``seqkd``); vllm, an extra, needs a GPU and a causal teacher."""
    store: str | None = None
    """Folder that ``limbeck store`` fills with the teacher's most likely tokens, so it need not run in training."""
    top_k: Annotated[int, Field(ge=1, le=10**6)] = 64
    """Tokens kept at each position of a store; all others go into one bucket."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""


class Answers(_Section):
    """How the held-out prompts are answered for the report."""

    rows: Annotated[int, Field(ge=0)] = 200
    """Largest number of held-out rows to answer; 0: only probabilities are measured."""
    max_new_tokens: Annotated[int, Field(ge=1, le=10**6)] = 128
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """0: always the most likely token."""
    metrics: Annotated[list[Literal["rouge_l", "exact_match", "numeric_match"]], Field(min_length=1)] = [
        "rouge_l", "exact_match",
    ]  # fmt: skip
    """``numeric_match`` is for mathematics: the answer's last number."""


class WritingRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "generation"


class TextRunConfig(RunSettings):
    """A whole run file of a generative student."""

    dependents = (
        (r"training\.(?!max_length)", STUDENTS),
        SEARCH,
        SPEED,
        (r"answers\.metrics", ""),
        (r"answers\.", r"predictions/.*\.json|"),
    )

    task: Generation
    data: TextData
    teacher: TextTeacher
    student: Student
    recipe: Annotated[WritingRecipe, BeforeValidator(name_alone)]
    training: TextTraining = TextTraining()
    answers: Answers = Answers()
    search: RateSearch | None = None
    """Search for each system's learning rate first."""
    speed: bool = True
    """Measure speed and memory at the end of the run, in a few seconds; else only sizes are known."""
    seeds: Seeds = [0]
    """One student is trained per seed; a test over seeds needs three or more."""
    baselines: list[Annotated[WritingRecipe, BeforeValidator(name_alone)]] = [WritingRecipe(name="fine_tune")]
    """Recipes of students to compare with: from the same start, with the same steps, batches and seeds."""
    output: OutputFolder
    """The run folder."""
    provenance: dict[str, Any] = {}
    """Written by limbeck into run.yaml: versions, hardware, fingerprints. Not read."""

    def recipes(self) -> dict[str, WritingRecipe]:
        """The recipes of all students by the names of their systems, the main one first."""
        return student_recipes(self.recipe, self.baselines)

    def fillings(self) -> list[Filling]:
        """Return the steps that fill in values after all are checked: the arguments of all recipes."""
        return [(("recipe",), TextRunConfig._with_recipe), (("baselines",), TextRunConfig._with_baselines)]

    def _with_recipe(self) -> TextRunConfig:
        """Spell the recipe out. Raises `ConfigError`: it cannot be run."""
        if self.teacher.precision == "bf16" and self.teacher.fine_tune is not None:
            raise ConfigError(
                "teacher.precision: bf16 is for a teacher that is finished; teacher.fine_tune needs float32"
            )
        if self.teacher.server is not None:
            self._require_server_suffices()
        return with_recipe(self, self._offers())

    def _with_baselines(self) -> TextRunConfig:
        return with_baselines(self, list(self._offers()))

    def _offers(self) -> Iterator[Lack | Idle]:
        """Yield what recipes miss in this run, and options that are only for some recipes."""
        yield from pruning_lacks(self.student, self.training)
        if self.task.text is not None:
            others = "Use kd, reverse_kl, jensen_shannon or total_variation, or give task.prompt"
            yield Lack(Capability.WRITING, "plain text (task.text) has no prompts", others)
        if self.data.corpus is None:
            yield Lack(Capability.CORPUS, "there is no corpus", "Set data.corpus, or recipe.corpus_weight: 0")
        if self.teacher.engine == "vllm":
            yield Idle(Capability.TEACHER_TEXTS, "teacher.engine: vllm", "Leave it out, or use seqkd")
            yield Lack(Capability.BEAM_SEARCH, "teacher.engine: vllm samples", "Set recipe.decode: sample")
        if self.teacher.store is not None:
            yield Lack(Capability.HIDDEN_STATES, "no store holds those", "Leave teacher.store out")
            yield Lack(Capability.WRITING, "no store holds what the teacher says of those", "Leave teacher.store out")
        if self.teacher.server is not None:
            at_1 = "a teacher.server gives those at temperature 1"
            yield Idle(Capability.PROBABILITIES, "teacher.server", "Leave it out")
            yield Lack(Capability.OTHER_TEMPERATURES, at_1, "Set recipe.loss_temperature: 1")
        if self.training.packing:
            yield Idle(Capability.SHARED_ROWS, "training.packing", "Leave it out")

    def _require_server_suffices(self) -> None:
        """Refuse what needs the teacher's weights. Raises `ConfigError`."""
        teacher = self.teacher
        if teacher.store is None:
            raise ConfigError(
                "teacher.server: a server's answers are stored before training. Give a folder as teacher.store and "
                "fill it with limbeck store"
            )
        if teacher.fine_tune is not None or teacher.precision != "float32":
            raise ConfigError(
                "teacher.fine_tune and teacher.precision are about weights that limbeck loads; with teacher.server "
                "the server has them. Leave them out"
            )
        if self.student.of_teacher or self.student.word_embeddings != "random":
            raise ConfigError(
                "student.from_teacher, student.pruned and student.word_embeddings copy the teacher's weights, which a "
                "teacher.server does not give. Use student.model or student.config"
            )


CONFIG = TextRunConfig
