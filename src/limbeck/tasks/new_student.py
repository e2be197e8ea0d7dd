"""How a student with a head on top comes to be: its tokenizer and its untrained weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.models.layers import depth
from limbeck.models.load import Head, load_classifier, load_tokenizer
from limbeck.numerics.layer_maps import choose_layers
from limbeck.students.initialise import student_from_config, student_from_layers
from limbeck.tasks.run_config import Student

__all__ = ["new_student", "student_tokenizer"]


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


def new_student(section: Student, teacher: Any, outputs: Sequence[str], tokenizer: Any, *, head: Head = "rows") -> Any:
    """Return the student of a run file's section, with its head.

    Args:
        section: how it is made.
        teacher: source of copied layers; may be ``None`` if none are copied.
        outputs: names of the head's outputs.
        tokenizer: the student's.
        head: for rows or for tokens.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration or model that does not fit.
    """
    if section.from_teacher is not None:
        wanted = section.from_teacher
        layers = choose_layers(wanted.layers, teacher_layers=depth(teacher), keep=wanted.keep)
        return student_from_layers(teacher, layers)
    if section.model is not None:
        return load_classifier(section.model, labels=outputs, head=head, trust_remote_code=section.trust_remote_code)
    assert section.config is not None
    return student_from_config(section.config, outputs, head=head, pad_id=tokenizer.pad_token_id)
