"""The shared context of a generation run: compatible models, and tokenised rows."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.packing import check_packing
from limbeck.errors import ConfigError, ModelError
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.losses.term import needs_of
from limbeck.models.language_model import is_encoder_decoder
from limbeck.models.layers import shapes
from limbeck.models.load import load_language_model, load_tokenizer
from limbeck.models.trials import require_finite, require_taps
from limbeck.models.vllm_engine import require_vllm
from limbeck.models.vocabulary import align_vocabularies
from limbeck.ranks import is_main
from limbeck.sequences.rollouts import Rollouts
from limbeck.stages.unfreezing import require_trainable
from limbeck.students.embeddings import start_embeddings
from limbeck.students.initialise import copies_note, language_model_from_config
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.rows import TextRows, decoder_start, encode_texts, text_limit
from limbeck.tasks.new_student import copied_layers
from limbeck.tasks.run_config import Student
from limbeck.types import Needs, Progress, Shapes

__all__ = ["Context", "set_up"]


@dataclass
class Context:
    """The shared context of one run."""

    config: TextRunConfig
    folder: Path
    rows: TextRows
    progress: Progress
    teacher: Any
    """``None``: it runs on a server, and its answers for the training rows are in the run's store."""
    teacher_tokenizer: Any
    student_tokenizer: Any
    vocabulary: int | None
    """Tokens that both models know by the same ids; ``None``: they have different tokenizers."""
    max_length: int
    train_rows: EncodedSequences
    """Training rows encoded for the student."""
    test: EncodedSequences
    train_for_teacher: EncodedSequences
    test_for_teacher: EncodedSequences
    corpus: EncodedSequences | None
    dev: EncodedSequences | None
    """Development rows encoded for the student, if there are any."""
    dev_for_teacher: EncodedSequences | None
    outputs: dict[str, dict[int, SystemOutputs]] = field(default_factory=dict)

    def new_student(self, seed: int, importance: Importance | None = None, *, whole: bool = False) -> Any:
        """Return the untrained student; the same for the same seed.

        `importance` is that of the units of a teacher that is pruned; ``None``: only the student's shape matters.
        `whole`: before it is pruned.
        """
        config = self.config
        if whole:
            config = config.model_copy(update={"student": config.student.unpruned})
        return _writing_student(config, self.teacher, self.student_tokenizer, seed, importance)

    @cached_property
    def student_pair(self) -> Shapes:
        """Shapes of teacher and student; of the student alone if the teacher runs on a server."""
        student = self.new_student(self.config.seeds[0])
        return shapes(student if self.teacher is None else self.teacher, student)

    @cached_property
    def completed_rows(self) -> NDArray[np.int64]:
        """Training rows with a completion to learn."""
        return np.flatnonzero(self.train_rows.supervised > 0)

    @property
    def budget_rows(self) -> int:
        """Number of rows in an epoch."""
        return len(self.completed_rows) if self.config.recipe.build().reads_completions else len(self.train_rows)

    @cached_property
    def answered(self) -> NDArray[np.int64]:
        """Held-out rows whose prompts are answered: the same for all systems."""
        return self.answered_of(self.test)

    def answered_of(self, rows: EncodedSequences) -> NDArray[np.int64]:
        """Return the rows whose prompts are answered when a student is measured on `rows`."""
        if self.rows.test.task.text is not None:
            return np.empty(0, dtype=np.int64)
        order = np.random.default_rng(0).permutation(len(rows))
        return np.sort(order[: self.config.answers.rows])


def set_up(config: TextRunConfig, folder: Path, rows: TextRows, progress: Progress) -> Context:
    """Load the models, check that they suit the run, and tokenise all rows.

    Raises:
        ConfigError: a model would mix up packed texts; compared layers do not fit; or a required extra is not
            installed.
        ModelError: a model or tokenizer cannot be loaded, weights are not finite, or the recipe needs a shared
            vocabulary and there are two.
    """
    if config.teacher.engine == "vllm":
        require_vllm()
    teacher, teacher_tokenizer, student, tokenizer = _models(config, progress)
    needs = _needs(config, teacher, student)
    vocabulary = _vocabulary(config, needs, teacher, student, teacher_tokenizer, tokenizer)
    same = vocabulary is not None
    readers = [student] if teacher is None or not same else [teacher, student]
    limit = text_limit(config, tokenizer, *readers)
    encode = partial(encode_texts, config)
    train = encode(rows.train, tokenizer, student, limit, folder if is_main() else None)
    test = encode(rows.test, tokenizer, student, limit)
    dev = None if rows.dev is None else encode(rows.dev, tokenizer, student, limit)
    train_for_teacher, test_for_teacher, dev_for_teacher = train, test, dev
    if not same:
        own_limit = text_limit(config, teacher_tokenizer, teacher)
        train_for_teacher, test_for_teacher = (
            encode(part, teacher_tokenizer, teacher, own_limit) for part in (rows.train, rows.test)
        )
        dev_for_teacher = None if rows.dev is None else encode(rows.dev, teacher_tokenizer, teacher, own_limit)
    progress.log(f"{len(rows.train)} training rows ({rows.completed} with completions), {len(rows.test)} held out")
    for finding in train.findings:
        progress.log(finding)
    if config.student.pruned is not None and not train_for_teacher.supervised.any():
        raise ConfigError(
            "student.pruned: the importance of the teacher's units is measured by its loss on completions, and no "
            "training row has one. Use student.from_teacher (whole layers), or rows with completions"
        )
    return Context(
        config=config,
        folder=folder,
        rows=rows,
        progress=progress,
        teacher=teacher,
        teacher_tokenizer=teacher_tokenizer,
        student_tokenizer=tokenizer,
        vocabulary=vocabulary,
        max_length=limit,
        train_rows=train,
        test=test,
        train_for_teacher=train_for_teacher,
        test_for_teacher=test_for_teacher,
        corpus=None if rows.corpus is None else encode(rows.corpus, tokenizer, student, limit),
        dev=dev,
        dev_for_teacher=dev_for_teacher,
    )


def _models(config: TextRunConfig, progress: Progress) -> tuple[Any, Any, Any, Any]:
    """Return the teacher (``None`` on a server) with its tokenizer, and an untrained student with its own."""
    options = {"trust_remote_code": config.teacher.trust_remote_code}
    teacher_tokenizer = load_tokenizer(config.teacher.model, **options)
    teacher = None
    if config.teacher.server is None:
        teacher = load_language_model(config.teacher.model, bf16=config.teacher.precision == "bf16", **options)
        require_finite(teacher, config.teacher.model)
    tokenizer = teacher_tokenizer
    if config.student.model is not None:
        tokenizer = load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code)
    student = _writing_student(config, teacher, tokenizer, config.seeds[0])
    if (note := copies_note(student)) is not None:
        progress.log(note)
    if (teacher is not None and is_encoder_decoder(teacher)) != is_encoder_decoder(student):
        server = "; a teacher on a server is causal" if teacher is None else ""
        raise ModelError(f"teacher and student must both be causal, or both have an encoder and a decoder{server}")
    if config.student.model is not None:
        require_finite(student, config.student.model)
    if config.teacher.engine == "vllm" and is_encoder_decoder(teacher):
        raise ModelError("teacher.engine: vllm is for causal teachers; use teacher.engine: transformers")
    _require_packing(config, teacher, student)
    return teacher, teacher_tokenizer, student, tokenizer


def _require_packing(config: TextRunConfig, teacher: Any, student: Any) -> None:
    """Refuse models that cannot keep packed texts apart."""
    if config.training.packing:
        check_packing(student)
        if teacher is not None and config.teacher.store is None:
            check_packing(teacher)
    elif config.teacher.fine_tune is not None and config.teacher.fine_tune.packing:
        check_packing(teacher)


def _writing_student(
    config: TextRunConfig, teacher: Any, tokenizer: Any, seed: int, importance: Importance | None = None
) -> Any:
    """Return the untrained student; the same for the same seed.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration or model that does not fit.
    """
    torch.manual_seed(seed)
    student = config.student
    if student.of_teacher:
        return _copied(teacher, student, importance)
    if student.model is not None:
        return _copied(load_language_model(student.model, trust_remote_code=student.trust_remote_code), student)
    assert student.config is not None
    rows = _token_rows(tokenizer) if teacher is None else int(teacher.get_input_embeddings().weight.shape[0])
    made = language_model_from_config(student.config, tokenizer=tokenizer, rows=rows)
    start_embeddings(made, teacher, student.word_embeddings)
    if is_encoder_decoder(made) and teacher is not None and is_encoder_decoder(teacher):
        # Not all configurations have it, and none can know this tokenizer's.
        made.config.decoder_start_token_id = decoder_start(teacher)
        made.generation_config.decoder_start_token_id = decoder_start(teacher)
    return made


def _copied(model: Any, student: Student, importance: Importance | None = None) -> Any:
    copied = copied_layers(model, student, importance)
    copied.generation_config = copy.deepcopy(model.generation_config)
    return copied


def _token_rows(tokenizer: Any) -> int:
    """Return the number of rows that embeddings of this tokenizer's ids need."""
    return 1 + max(int(number) for number in tokenizer.get_vocab().values())


def _needs(config: TextRunConfig, teacher: Any, student: Any) -> Needs:
    """Return everything that the terms of recipe and baselines read from this pair of models.

    Raises:
        ConfigError, ModelError: hidden states are compared, but widths, depths or kinds of the models do not fit, or
            a store would have to supply them.
    """
    needs, pair = Needs(), shapes(student if teacher is None else teacher, student)
    for recipe in config.recipes().values():
        of_recipe, stages = Needs(), recipe.build().stages
        require_trainable(student, (stage.trains for stage in stages))
        for stage in stages:
            of_recipe |= needs_of(stage.bound(pair))
        if of_recipe.teacher_hidden and config.teacher.store is not None:
            raise ConfigError(
                f"recipe '{recipe.name}' compares hidden states, and teacher.store holds next-token "
                "distributions only. Leave teacher.store out, or the hints"
            )
        needs |= of_recipe
    require_taps(student, needs.student_taps)
    if needs.teacher_taps:
        require_taps(teacher, needs.teacher_taps)
    return needs


def _vocabulary(
    config: TextRunConfig, needs: Needs, teacher: Any, student: Any, teacher_tokenizer: Any, student_tokenizer: Any
) -> int | None:
    """Return the number of shared tokens; ``None`` if tokenizers differ and the recipes only pass on text."""
    try:
        return align_vocabularies(
            teacher_tokenizer,
            student_tokenizer,
            teacher_rows=_token_rows(teacher_tokenizer)
            if teacher is None
            else int(teacher.get_output_embeddings().weight.shape[0]),
            student_rows=int(student.get_output_embeddings().weight.shape[0]),
        )
    except ModelError:
        mixed = any(stage.part(Rollouts) is not None for stage in all_stages(config.recipes()))
        if not needs.teacher and not mixed:
            return None
        raise
