"""The shared context of a run: two models with the same tokens, and the texts as both read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import token_limit
from limbeck.data.masked.encode import MaskedTexts, encode_texts, require_maskable
from limbeck.errors import ModelError
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.losses.readout import MaskedReadout
from limbeck.losses.term import needs_of
from limbeck.models.language_model import is_encoder_decoder
from limbeck.models.layers import is_causal, shapes
from limbeck.models.load import load_masked_lm, load_tokenizer
from limbeck.models.padding import padding_of
from limbeck.models.trials import require_finite, require_taps
from limbeck.models.vocabulary import align_vocabularies
from limbeck.stages.layer_similarity import measure_similarity, sampled
from limbeck.stages.unfreezing import require_trainable
from limbeck.students.embeddings import start_embeddings
from limbeck.students.initialise import copies_note, language_model_from_config
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.importance import importance_on, kept_importance
from limbeck.tasks.layer_similarity import with_similarity
from limbeck.tasks.masked_lm.config import MaskedRunConfig
from limbeck.tasks.masked_lm.rows import MaskedRows
from limbeck.tasks.new_student import copied_layers
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import Progress, Shapes

__all__ = ["Context", "open_context"]

_INSTEAD = (
    "Losses of masked tokens need one tokenizer. What would work: a student of the teacher's family, of its layers "
    "(student.from_teacher), or with random weights (student.config)."
)


@dataclass
class Context:
    """The shared context of one run."""

    config: MaskedRunConfig
    folder: Path
    rows: MaskedRows
    progress: Progress
    teacher: Any
    tokenizer: Any
    """Of both models."""
    vocabulary: int
    """Tokens that both models know."""
    max_length: int
    train: MaskedTexts
    test: MaskedTexts
    dev: MaskedTexts | None
    outputs: dict[str, dict[int, SystemOutputs]] = field(default_factory=dict)
    """Sums over the held-out texts, by system and seed."""

    def new_student(self, seed: int, importance: Importance | None = None, *, whole: bool = False) -> Any:
        """Return the untrained student; the same for the same seed.

        `importance` is that of the units of a teacher that is pruned; ``None``: only the student's shape matters.
        `whole`: before it is pruned.
        """
        config = self.config
        if whole:
            config = config.model_copy(update={"student": config.student.unpruned})
        return _new_student(config, self.teacher, self.tokenizer, seed, importance)

    @cached_property
    def student_pair(self) -> Shapes:
        """Shapes of teacher and student."""
        return shapes(self.teacher, self.new_student(self.config.seeds[0]))

    def importance(self) -> Importance | None:
        """Return the importance of the trained teacher's units, kept in the run folder, if the student is pruned."""
        pruned = self.config.student.pruned
        if pruned is None:
            return None
        mark = f"{self.train.fingerprint()} rows={pruned.rows}"
        return kept_importance(self.folder, self.teacher, mark, self.measured_importance, self.progress)

    def measured_importance(self) -> Importance:
        """Measure the importance of the teacher's units as it is now, with the masks of the first pass."""
        pruned = self.config.student.pruned
        assert pruned is not None
        return importance_on(
            self.teacher, np.arange(len(self.train)), pruned.rows, self.train.batch,
            kind=self.config.recipe.kind, readout=MaskedReadout(self.vocabulary), progress=self.progress,
        )  # fmt: skip

    @property
    def measured_pair(self) -> Shapes:
        """The same with the similarity of their layers if a recipe reads it; only once the teacher is trained."""
        return with_similarity(self.config, self.student_pair, self.folder, self._similarity, self.progress)

    def _similarity(self) -> NDArray[np.float32]:
        """Compare the layers of the first seed's student before training with those of the teacher, on whole texts."""
        return measure_similarity(
            self.new_student(self.config.seeds[0], self.importance()),
            LanguageTeacher(self.teacher, self.vocabulary),
            readout=MaskedReadout(self.vocabulary),
            shapes=self.student_pair,
            rows=sampled(len(self.train)),
            make_batch=partial(self.train.batch, masks=False),
            progress=self.progress,
        )

    @property
    def teaches(self) -> bool:
        """Whether any recipe of the run needs the teacher."""
        return any(recipe.build().needs.teacher for recipe in self.config.recipes().values())


def open_context(config: MaskedRunConfig, folder: Path, rows: MaskedRows, progress: Progress) -> Context:
    """Load the models, check that they suit the run, and tokenise all texts.

    Raises:
        ConfigError: compared layers do not fit, or a configuration gives no model.
        DataError: no text has a token to mask.
        ModelError: a model or tokenizer cannot be loaded or is none of this kind, or there are two vocabularies.
    """
    teacher = _start_teacher(config)
    tokenizer = load_tokenizer(config.teacher.model, trust_remote_code=config.teacher.trust_remote_code)
    require_maskable(tokenizer)
    _require_encoder(teacher, config.teacher.model)
    student = _new_student(config, teacher, tokenizer, config.seeds[0])
    _require_encoder(student, config.student.model or "the student")
    if (note := copies_note(student)) is not None:
        progress.log(note)
    vocabulary = _vocabulary(config, teacher, student, tokenizer)
    _require_fitting(config, teacher, student)
    limit = min(token_limit(tokenizer, model, config.training.max_length) for model in (teacher, student))
    train = encode_texts(rows.train, config.task, tokenizer, limit)
    test, dev = (
        None if part is None else encode_texts(part, config.task, tokenizer, limit, train.masking)
        for part in (rows.test, rows.dev)
    )
    assert test is not None
    progress.log(f"{len(rows.train)} training texts, {len(rows.test)} held out")
    return Context(config, folder, rows, progress, teacher, tokenizer, vocabulary, limit, train, test, dev)


def _start_teacher(config: MaskedRunConfig) -> Any:
    """Return the teacher; if it is trained in this run, it may begin with a new head."""
    import torch

    torch.manual_seed(config.seeds[0])
    section = config.teacher
    trained = section.fine_tune is not None
    return load_masked_lm(section.model, new_head=trained, trust_remote_code=section.trust_remote_code)


def _new_student(
    config: MaskedRunConfig, teacher: Any, tokenizer: Any, seed: int, importance: Importance | None = None
) -> Any:
    """Return the untrained student. Raises `ConfigError`, `ModelError` as its section does not fit."""
    import torch

    torch.manual_seed(seed)
    student = config.student
    if student.of_teacher:
        return copied_layers(teacher, student, importance)
    if student.model is not None:
        whole = load_masked_lm(student.model, new_head=True, trust_remote_code=student.trust_remote_code)
        return copied_layers(whole, student)
    assert student.config is not None
    rows = int(teacher.get_input_embeddings().weight.shape[0])
    made = language_model_from_config(student.config, tokenizer=tokenizer, rows=rows, masked=True)
    start_embeddings(made, teacher, student.word_embeddings)
    return made


def _require_encoder(model: Any, name: str) -> None:
    """Refuse models that do not see both sides of a mask, and damaged weights. Raises `ModelError`."""
    if is_encoder_decoder(model) or is_causal(model) or model.get_output_embeddings() is None:
        raise ModelError(
            f"{name} ({type(model).__name__}) is no encoder with a masked-language head: masked language modelling is "
            "for models such as BERT, RoBERTa or MPNet. For others use task.kind: generation with task.text"
        )
    require_finite(model, name)


def _vocabulary(config: MaskedRunConfig, teacher: Any, student: Any, tokenizer: Any) -> int:
    """Return the number of tokens that both know. Raises `ModelError`: they know others, or pad rows differently."""
    own = tokenizer
    if config.student.model is not None:
        own = load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code)
    rows = {
        name: int(model.get_output_embeddings().weight.shape[0])
        for name, model in (("teacher_rows", teacher), ("student_rows", student))
    }
    shared = align_vocabularies(tokenizer, own, **rows, instead=_INSTEAD)
    for model in (teacher, student):
        if (padding := padding_of(model, tokenizer)).id != tokenizer.pad_token_id:
            raise ModelError(
                f"{type(model).__name__} pads rows with token {padding.id}, and the tokenizer with "
                f"{tokenizer.pad_token_id} ({tokenizer.pad_token}): set pad_token_id in the model's configuration"
            )
    return shared


def _require_fitting(config: MaskedRunConfig, teacher: Any, student: Any) -> None:
    """Refuse recipes that compare states which do not fit or which a model does not give.

    Raises:
        ConfigError, ModelError: widths, heads or depths do not fit, or attention cannot be read.
    """
    pair, stages = shapes(teacher, student), all_stages(config.recipes())
    require_trainable(student, (stage.trains for stage in stages))
    needs = reduce(or_, (needs_of(stage.bound(pair)) for stage in stages))
    require_taps(student, needs.student_taps)
    require_taps(teacher, needs.teacher_taps)
