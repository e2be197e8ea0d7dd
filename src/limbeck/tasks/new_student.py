"""How a student with a head on top comes to be: its tokenizer and its untrained weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.models.layers import depth
from limbeck.models.load import Head, load_classifier, load_tokenizer
from limbeck.models.pooled_classifier import with_pooling
from limbeck.models.pooling import Pooling
from limbeck.numerics.layer_maps import choose_layers
from limbeck.students.embeddings import start_embeddings
from limbeck.students.initialise import student_from_config, student_from_layers
from limbeck.students.pruning.importance import Importance
from limbeck.students.pruning.shape import Widths
from limbeck.students.pruning.student import pruned_student
from limbeck.tasks.run_config import PoolingName, Pruned, Student

__all__ = ["copied_layers", "has_pairs", "new_student", "student_tokenizer", "wanted_pooling"]


def student_tokenizer(section: Student, of_teacher: Any) -> Any:
    """Return the student's own tokenizer, or the teacher's for a student made from the teacher or a configuration.

    A teacher without weights has none (``None``), and its run names a model for the student. Tokenizers of causal
    models often have no padding token; the end token then replaces it, and masks mark the real tokens.
    """
    if section.model is None:
        return of_teacher
    tokenizer = load_tokenizer(section.model, trust_remote_code=section.trust_remote_code)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def wanted_pooling(name: PoolingName) -> Pooling | None:
    """Return the pooling that a run file asks for; ``None``: as the model was trained."""
    return None if name == "auto" else name


def has_pairs(task: Any) -> bool:
    """Return whether the rows of a run file's task are pairs of texts; some kinds have none."""
    return getattr(task, "text_pair", None) is not None


def copied_layers(model: Any, section: Student, importance: Importance | None = None) -> Any:
    """Return a student of a model's class with the layers and units that a run file's section names, or the model.

    Args:
        model: the teacher, or the model that the section names.
        section: how the student is made.
        importance: of the units of a teacher that is pruned; ``None``: only the student's shape matters.

    Raises:
        ConfigError, ModelError: a layer map or width out of range, layers that cannot be copied
            (`student_from_layers`), or units that cannot be cut (`pruned_student`).
    """
    if section.pruned is not None:
        return _pruned(model, section.pruned, importance)
    wanted = section.cut
    if wanted is None:
        return model
    whose = "teacher" if section.model is None else "model"
    layers = choose_layers(wanted.layers, teacher_layers=depth(model), keep=wanted.keep, whose=whose)
    student = student_from_layers(model, layers)
    # A copied head knows the states of the last layer; after fewer layers they are others.
    student.head_is_new = getattr(model, "head_is_new", False) or len(layers) < depth(model)
    return student


def _pruned(teacher: Any, wanted: Pruned, importance: Importance | None) -> Any:
    keep = depth(teacher) if wanted.keep is None and isinstance(wanted.layers, str) else wanted.keep
    layers = choose_layers(wanted.layers, teacher_layers=depth(teacher), keep=keep)
    widths = Widths(wanted.hidden, wanted.heads, wanted.feed_forward)
    student = pruned_student(teacher, layers=layers, widths=widths, importance=importance)
    student.head_is_new = True  # its states are others
    return student


def new_student(
    section: Student,
    teacher: Any,
    outputs: Sequence[str],
    tokenizer: Any,
    *,
    head: Head = "rows",
    pooling: Pooling | None = None,
    pairs: bool = False,
    importance: Importance | None = None,
) -> Any:
    """Return the student of a run file's section, with its head.

    Args:
        section: how it is made.
        teacher: source of copied layers or word embeddings; may be ``None`` if none are copied.
        outputs: names of the head's outputs.
        tokenizer: the student's.
        head: for rows or for tokens.
        pooling: how a head for rows reads the states of the tokens; default: as the teacher it is copied from does, or
            as the model was trained.
        pairs: whether a row is two texts.
        importance: of the units of a teacher that is pruned; ``None``: only the student's shape matters.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration or model that does not fit.
    """
    if section.of_teacher:
        copied = copied_layers(teacher, section, importance)
        return copied if pooling is None else with_pooling(copied, pooling)
    if section.model is not None:
        whole = load_classifier(
            section.model, labels=outputs, head=head, pooling=pooling, trust_remote_code=section.trust_remote_code
        )
        return copied_layers(whole, section)
    assert section.config is not None
    student = student_from_config(
        section.config, outputs, head=head, pooling=pooling, tokenizer=tokenizer, pairs=pairs
    )
    start_embeddings(student, teacher, section.word_embeddings)
    return student
