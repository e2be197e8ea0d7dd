"""``recipe: auto``: the run file that a short one stands for.

Sections that are left out are filled in, and what is given stays, so the recorded ``run.yaml`` shows all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.errors import ConfigError

__all__ = ["filled"]

_RECIPE = {"name": "kd", "loss_temperature": 1.0, "label_weight": 0.0}
"""The teacher's probabilities alone: it has learned the labels, and the weights of its members are fitted to them."""
_TRAINING = {
    "max_steps": 600,
    "batch_size": 32,
    "learning_rate": 3e-4,
    "dropout": 0.0,
    "freeze_word_embeddings": True,
}
"""Of the student, which has to follow its teacher closely, on many rows."""
_CONTRASTIVE = {"max_steps": 80, "batch_size": 32, "learning_rate": 5e-5, "freeze_word_embeddings": True}
_FINE_TUNED = {"max_steps": 300, "batch_size": 32, "learning_rate": 5e-5, "freeze_word_embeddings": True}
_FOLDS = 3
_READ = ("pooling", "trust_remote_code")
"""Keys of a teacher that say how its encoder is read."""
_IN_ROWS = ("labels_from", "confidence")
_ASKED = ("api", "prompt", "calibration", "samples", "orders_must_agree", "pilot", "journal")
"""Keys of a teacher that is asked, by a prompt."""


def filled(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the sections of a run file with those that ``recipe: auto`` stands for.

    Args:
        values: as typed, not checked yet. Without ``recipe: auto`` they are returned as they are.

    Raises:
        ConfigError: no encoder is named, or the recipe has arguments.

    >>> run = filled({"teacher": {"model": "org/encoder"}, "recipe": "auto"})
    >>> run["student"]
    {'model': 'org/encoder', 'layers': 'uniform', 'keep': 'half'}
    >>> run["recipe"]["name"], run["teacher"]["ensemble"]["members"][0], run["training"]["max_steps"]
    ('kd', 'tfidf', 600)
    """
    recipe = values.get("recipe")
    if recipe not in ("auto", {"name": "auto"}):
        if isinstance(recipe, Mapping) and recipe.get("name") == "auto":
            raise ConfigError("recipe 'auto' takes no arguments; minutes is a key of the run file itself")
        return values
    found = {**values, "recipe": _RECIPE}
    teacher, student, training = (values.get(name) for name in ("teacher", "student", "training"))
    if isinstance(teacher, Mapping) and _is_short(teacher):
        named = student.get("model") if isinstance(student, Mapping) else None
        encoder = named if _is_asked(teacher) else teacher.get("model") or named
        if encoder is None:
            raise ConfigError(
                "recipe 'auto' trains an encoder: name it as teacher.model, or with teacher.labels_from or "
                "teacher.prompt as student.model"
            )
        labeller = _labeller(teacher)
        refit = labeller is None  # gold labels are few, and no noise has to be averaged out
        members = _members(teacher, encoder, labeller)
        found["teacher"] = {"ensemble": {"members": members, "folds": _FOLDS, "refit": refit}}
        found["student"] = _student(teacher, student, encoder)
    if training is None or isinstance(training, Mapping):
        counted = values.get("minutes") is not None or (training or {}).get("num_train_epochs") is not None
        found["training"] = {**_TRAINING, **({"max_steps": None} if counted else {}), **(training or {})}
    return found


def _is_asked(teacher: Mapping[str, Any]) -> bool:
    return any(teacher.get(name) is not None for name in ("api", "prompt"))


def _is_short(teacher: Mapping[str, Any]) -> bool:
    """Whether a teacher is the encoder or the labels of an ensemble; one with other keys is complete."""
    given = {name for name, value in teacher.items() if value is not None}
    return given <= {"model", *_READ, *_IN_ROWS, *(_ASKED if _is_asked(teacher) else ())}


def _labeller(teacher: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the member that gives labels: a field of the rows, or what is asked with the prompt."""
    names = [*_IN_ROWS, *(_ASKED if _is_asked(teacher) else ())]
    names += ["model", "trust_remote_code"] if _is_asked(teacher) and teacher.get("model") is not None else []
    found = {name: teacher[name] for name in names if teacher.get(name) is not None}
    return found or None


def _student(teacher: Mapping[str, Any], student: Any, encoder: Any) -> Any:
    """Return the student: layers of the encoder, as an ensemble has none of its own, or what is given."""
    if student is None:
        return _of_model(teacher, {"model": encoder, "layers": "uniform", "keep": "half"})
    copied = student.get("from_teacher") if isinstance(student, Mapping) else None
    if not isinstance(copied, Mapping) or student.get("model") is not None:
        return student
    others = {name: value for name, value in student.items() if name != "from_teacher"}
    return _of_model(teacher, {"model": encoder, "layers": "spread", **copied}) | others


def _members(teacher: Mapping[str, Any], encoder: Any, labeller: dict[str, Any] | None) -> list[Any]:
    """Return the members: for few gold labels, or for many labels of another model and its own word on them."""
    probe = _of_model(teacher, {"model": encoder, "recipe": {"name": "linear_probe", "spread_labels": True}})
    if labeller is None:
        contrastive = {"model": encoder, "recipe": "setfit", "training": _CONTRASTIVE}
        return ["tfidf", probe, _of_model(teacher, contrastive)]
    probe = {**probe, "recipe": "linear_probe"}
    return ["tfidf", probe, _of_model(teacher, {"model": encoder, "training": _FINE_TUNED}), labeller]


def _of_model(teacher: Mapping[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    """Return a section of the encoder, with how the teacher says that it is read."""
    asks_a_model = _is_asked(teacher) and teacher.get("model") is not None
    names = ("pooling",) if asks_a_model else _READ  # the other is about the model that is asked
    return {**section, **{name: teacher[name] for name in names if name in teacher}}
