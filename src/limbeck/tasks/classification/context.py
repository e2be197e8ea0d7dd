"""The shared context of a classification run: rows, models, encodings, and the collected outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded, token_limit
from limbeck.data.prompts.explained import EncodedRationales
from limbeck.data.prompts.scored import encode_for
from limbeck.errors import ConfigError
from limbeck.evaluation.predict import predict_logits
from limbeck.intact import checksum
from limbeck.losses.readout import ClassReadout
from limbeck.losses.term import needs_of
from limbeck.models.bag_of_words import BagOfWords
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.layers import depth, shapes, width
from limbeck.models.padding import padding_of
from limbeck.models.retrieval_memory import Memory
from limbeck.models.trials import require_taps
from limbeck.recipes.recipe import Recipe
from limbeck.results.record import StageCost
from limbeck.results.sections import SimpleFit
from limbeck.stages.layer_similarity import measure_similarity, sampled
from limbeck.stages.stage import Stage
from limbeck.students.initialise import copies_note
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.classification.asked_labels import PromptedModel, load_prompted_model
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.teacher import make_ensemble_teacher
from limbeck.tasks.classification.importance import classifier_importance
from limbeck.tasks.classification.label_teacher import LabelTeacher, make_label_teacher
from limbeck.tasks.classification.rationales import training_rationales
from limbeck.tasks.classification.rows import RunRows, start_teacher
from limbeck.tasks.classification.student import make_student
from limbeck.tasks.importance import kept_importance
from limbeck.tasks.kept import kept_array
from limbeck.tasks.layer_similarity import with_similarity
from limbeck.tasks.new_student import student_tokenizer
from limbeck.tasks.task import predicting
from limbeck.teachers.language_model import TeacherStates
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, Progress, Rows, Shapes

__all__ = ["Context", "ModelTeacher", "set_up"]


@dataclass(frozen=True)
class ModelTeacher:
    """A teacher with weights, and the rows encoded for it."""

    model: Any
    tokenizer: Any
    train: Encoded
    test: Encoded


@dataclass
class Context:
    """The shared context of one run."""

    config: RunConfig
    folder: Path
    rows: RunRows
    progress: Progress
    teacher: ModelTeacher | LabelTeacher
    tokenizer: Any
    """The student's."""
    max_length: int
    train: Encoded
    """The training rows encoded for the student."""
    test: Encoded
    student: Any
    rationales: EncodedRationales | None = None
    """The teacher's rationales for the training rows, if the student learns them."""
    warnings: list[str] = field(default_factory=list)
    """Remarks from the run for readers of the figures."""
    costs: dict[str, StageCost] = field(default_factory=dict)
    """Cost of each stage, by its folder, and of the teacher's pass over the rows."""
    logits: dict[str, dict[int, NDArray[np.float32]]] = field(default_factory=dict)
    memories: dict[tuple[str, int], Memory] = field(default_factory=dict)
    """Of students that look up training rows, by system and seed."""
    temperatures: dict[str, dict[int, float]] = field(default_factory=dict)
    """Of trained systems, by name and seed; empty without development rows."""
    simple_fits: dict[str, SimpleFit] = field(default_factory=dict)
    """How each simple baseline was fitted."""
    bag_of_words: Callable[[], BagOfWords] | None = None
    """Returns the simplest of them, fitted when it is first needed; ``None`` if the run has none."""

    @cached_property
    def measured_pair(self) -> Shapes:
        """Shapes of teacher and student, with the similarity of their layers if a recipe reads it; only once the
        teacher is as it stays."""
        return with_similarity(self.config, self.pair(self.student), self.folder, self._similarity, self.progress)

    def _similarity(self) -> NDArray[np.float32]:
        """Compare the layers of the first seed's student before training with those of the teacher."""
        own = None if isinstance(self.teacher, LabelTeacher) else self.teacher
        teacher = self.teacher.states if isinstance(self.teacher, LabelTeacher) else LocalTeacher(self.teacher.model)
        assert teacher is not None, "see capabilities"
        return measure_similarity(
            # Not `student`, whose layers may be copies of those of a teacher that was not yet fine-tuned.
            self.new_student(self.config.seeds[0]),
            teacher,
            readout=ClassReadout(),
            shapes=self.pair(self.student),
            rows=sampled(len(self.rows.train)),
            make_batch=self.batch_maker(self.train, None if own is None else own.train),
            progress=self.progress,
        )

    @property
    def same_tokens(self) -> bool:
        """Whether both models read the same token ids on the rows of this run."""
        if isinstance(self.teacher, LabelTeacher):
            return False
        teacher = self.teacher.train
        return teacher.fingerprint() == self.train.fingerprint() and teacher.pad_left == self.train.pad_left

    @property
    def taught(self) -> NDArray[np.bool_]:
        """Whether the teacher has an answer for each training row."""
        if isinstance(self.teacher, LabelTeacher):
            return self.teacher.train.kept_N
        return np.ones(len(self.rows.train), dtype=np.bool_)

    def new_student(self, seed: int, *, whole: bool = False) -> Any:
        """Return a seed's student before training, once the teacher is trained; `whole`: before it is pruned."""
        of_teacher = self.teacher.model if isinstance(self.teacher, ModelTeacher) else None
        config, importance = self.config, None if whole else self.importance()
        if whole:
            config = config.model_copy(update={"student": config.student.unpruned})
        return make_student(config, of_teacher, self.tokenizer, self.rows.labels, seed, importance)

    def importance(self) -> Importance | None:
        """Return the importance of the trained teacher's units, if the student is pruned."""
        pruned = self.config.student.pruned
        if pruned is None:
            return None
        assert isinstance(self.teacher, ModelTeacher)
        model, train = self.teacher.model, self.teacher.train
        labels = self.rows.train_labels
        measure = partial(classifier_importance, self.config, model, train, labels, self.progress)
        mark = f"{train.fingerprint()} {checksum(labels.tobytes())} rows={pruned.rows}"
        return kept_importance(self.folder, model, mark, measure, self.progress)

    def pair(self, student: Any) -> Shapes:
        """Return depth and width of both models; a black-box teacher has none."""
        teacher = self.teacher.states if isinstance(self.teacher, LabelTeacher) else self.teacher
        if teacher is None:
            return Shapes(0, 0, depth(student), width(student))
        return shapes(teacher.model, student)

    def stage_rows(self, stage: Stage, *, taught: bool) -> NDArray[np.int64]:
        """Return the training rows of a stage: all, or the labelled ones; `taught`: those with a teacher's answer."""
        if stage.labelled_only:
            return np.flatnonzero(self.rows.train_labels >= 0)
        return np.flatnonzero(self.taught) if taught else np.arange(len(self.rows.train))

    def batch_maker(
        self, encoded: Encoded, for_teacher: Encoded | None, rationales: EncodedRationales | None = None
    ) -> Callable[[NDArray[np.int64]], Batch]:
        """Return the function that builds the batch of given training rows."""
        import torch

        labels = torch.from_numpy(self.rows.train_labels)

        def make_batch(row_numbers: NDArray[np.int64]) -> Batch:
            picked = torch.from_numpy(np.asarray(row_numbers))
            batch: Batch = {"student": encoded.batch(row_numbers), "labels_B": labels[picked], "rows_B": picked}
            if for_teacher is not None:
                batch["teacher"] = for_teacher.batch(row_numbers)
            if rationales is not None:
                batch["rationales"] = rationales.batch(row_numbers)
            return batch

        return make_batch

    def predict(self, system: str, seed: int, model: Any) -> None:
        """Predict the held-out rows, or read the predictions of an earlier start of this run."""
        by_teacher = system == "teacher" and isinstance(self.teacher, ModelTeacher)
        encoded = self.teacher.test if by_teacher and isinstance(self.teacher, ModelTeacher) else self.test
        name = f"{system}-seed{seed}"
        self.logits.setdefault(system, {})[seed] = self.predicted(name, predicting(system), model, encoded)

    def predicted(self, name: str, title: str, model: Any, encoded: Encoded) -> NDArray[np.float32]:
        return kept_array(
            self.folder, f"predictions/{name}.npy", lambda: self.logits_of(title, model, encoded), self.progress
        )

    def logits_of(self, title: str, model: Any, encoded: Encoded) -> NDArray[np.float32]:
        """Return a model's logits for rows, with a progress bar."""
        with self.progress.track(title, len(encoded.lengths)) as update:
            return predict_logits(model, encoded, update=update)


def set_up(
    config: RunConfig, folder: Path, rows: RunRows, progress: Progress, label_teacher: LabelTeacher | None = None
) -> Context:
    """Load the models, check that they suit the run, tokenise all rows, and get a prompted teacher's labels.

    `label_teacher` replaces a black-box teacher.

    Raises:
        LimbeckError: a model cannot be loaded or does not fit, or the teacher's labels cannot be used.
    """
    progress.log(f"{len(rows.train)} training rows ({rows.labelled} labelled), {len(rows.test)} held-out rows")
    wanted, seed = config.training.max_length, config.seeds[0]
    if not config.teacher.is_classifier:
        tokenizer = student_tokenizer(config.student, None)
        student = make_student(config, None, tokenizer, rows.labels, seed)
        limit = token_limit(tokenizer, student, wanted)
        train, test = (encode_for(student, part, tokenizer, limit) for part in (rows.train, rows.test))
        loaded = load_prompted_model(config) if _reads_states(config) else None
        if loaded is not None:
            _require_same_prompts(config, student, rows.train, train, loaded, limit)
        if label_teacher is None and config.teacher.ensemble is not None:
            label_teacher = make_ensemble_teacher(config, rows, folder, progress)
        labels = label_teacher or make_label_teacher(config, rows, folder, progress, loaded)
        if loaded is not None:
            labels = replace(labels, states=TeacherStates(loaded.model))
        context = Context(config, folder, rows, progress, labels, tokenizer, limit, train, test, student)
        context.costs.update(labels.costs)
        if (
            isinstance(student, LabelScorer)
            and student.verbaliser.explains
            and (label_teacher is None or config.teacher.rationale is not None)
        ):
            context.rationales = training_rationales(config, rows, labels, student, tokenizer, limit, folder, progress)
        return context
    model, teacher_tokenizer = start_teacher(config, rows.labels)
    tokenizer = student_tokenizer(config.student, teacher_tokenizer)
    student = make_student(config, model, tokenizer, rows.labels, seed)
    if (note := copies_note(student)) is not None:
        progress.log(note)
    limit = min(token_limit(teacher_tokenizer, model, wanted), token_limit(tokenizer, student, wanted))
    train, test = (encode_for(model, part, teacher_tokenizer, limit) for part in (rows.train, rows.test))
    teacher = ModelTeacher(model, teacher_tokenizer, train, test)
    if tokenizer is not teacher_tokenizer:
        train, test = (encode_for(student, part, tokenizer, limit) for part in (rows.train, rows.test))
    else:
        train, test = (part.padded_as(padding_of(student, tokenizer)) for part in (train, test))
    return Context(config, folder, rows, progress, teacher, tokenizer, limit, train, test, student)


def _reads_states(config: RunConfig) -> bool:
    """Whether a recipe reads the hidden states of a causal teacher."""
    return config.teacher.model is not None and bool(_on_states(config))


def _on_states(config: RunConfig) -> dict[str, Recipe]:
    """Return the recipes that read hidden states, by their names."""
    built = {one.name: one.build() for one in config.recipes().values()}
    return {name: recipe for name, recipe in built.items() if recipe.needs.teacher_hidden}


def _require_same_prompts(
    config: RunConfig, student: Any, rows: Rows, encoded: Encoded, teacher: PromptedModel, limit: int
) -> None:
    """Refuse a student with other tokens than its prompted teacher, with longer prompts, or with more layers.

    Raises:
        ConfigError: the student does not fit; names the field.
        ModelError: as `token_limit`.
    """
    recipes = _on_states(config)
    recipe = f"recipe '{next(iter(recipes))}' with these arguments compares hidden states token by token"
    if not isinstance(student, LabelScorer):
        raise ConfigError(
            f"student.head: {recipe}, but a linear head reads the plain text, and the teacher its prompt. "
            "Use head: verbaliser, or a recipe without hidden states"
        )
    if config.student.prompt is not None and config.student.prompt != config.teacher.prompt:
        raise ConfigError(
            f"student.prompt: {recipe}, so both must read the same prompt. Leave it out (the student then reads the "
            "teacher's), or use a recipe without hidden states"
        )
    of_teacher = encode_for(student, rows, teacher.tokenizer, limit)
    if of_teacher.fingerprint() != encoded.fingerprint():
        raise ConfigError(
            f"student.model: {recipe}, but the tokenizers of student and teacher write these rows with different ids. "
            "Use a student with the teacher's tokenizer, or a recipe without hidden states"
        )
    longest = int(encoded.lengths.max())
    if longest > (most := token_limit(teacher.tokenizer, teacher.model, config.training.max_length)):
        raise ConfigError(
            f"training.max_length: the longest prompt has {longest} tokens, and the teacher reads {most}; use a "
            "smaller prompt.max_body_tokens"
        )
    for one in recipes.values():
        for stage in one.stages:
            needs = needs_of(stage.bound(shapes(teacher.model, student)))
            require_taps(student, needs.student_taps)
            require_taps(teacher.model, needs.teacher_taps)
