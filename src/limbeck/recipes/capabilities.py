"""A recipe's needs against what the sections of a run file offer: one check, one message that names both sides."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from limbeck.errors import ConfigError
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import TeacherWritten
from limbeck.sequences.source import WithCorpus

__all__ = ["Capability", "Idle", "Lack", "needed_by", "require"]


class Capability(Enum):
    """Something that some recipes need and not every run has; the value is a verb phrase for a recipe."""

    HIDDEN_STATES = "reads the teacher's hidden states"
    FIRST_STATES = "reads the teacher's [CLS] token"
    PROBES = "runs the teacher on changed embeddings"
    RATIONALES = "learns the teacher's rationales"
    PROBABILITIES = "compares probabilities with the teacher's"
    OTHER_TEMPERATURES = "compares probabilities at other temperatures than 1"
    WRITING = "generates completions of prompts"
    TEACHER_TEXTS = "trains on completions that the teacher generated beforehand"
    BEAM_SEARCH = "uses beam search with the teacher"
    CORPUS = "trains on plain text in addition to the task"
    TRAINED_TEACHER = "trains the teacher too"
    FEATURES = "reads the features below a linear head"
    PRUNING = "prunes the student while it trains"
    SHARED_ROWS = "has a stage in which texts can share a row"


class Lack(NamedTuple):
    """Something that a run does not offer."""

    of: Capability
    because: str
    """The section, and why: ``teacher.api gives labels only``."""
    instead: str
    """What to do about it."""


class Idle(NamedTuple):
    """An option that does nothing for a recipe without a need."""

    of: Capability
    option: str
    """Its name in the run file: ``teacher.rationale``."""
    instead: str


def needed_by(recipe: Recipe) -> frozenset[Capability]:
    """Return a recipe's needs that not every run meets."""
    needs, by_teacher = recipe.needs, recipe.part(TeacherWritten)
    wanted = {
        Capability.HIDDEN_STATES: needs.teacher_hidden,
        Capability.FIRST_STATES: bool(needs.teacher_first),
        Capability.PROBES: bool(needs.teacher_probes),
        Capability.RATIONALES: needs.rationales,
        Capability.PROBABILITIES: bool(recipe.loss_temperatures),
        Capability.OTHER_TEMPERATURES: bool(recipe.loss_temperatures - {1.0}),
        Capability.WRITING: by_teacher is not None or recipe.samples,
        Capability.TEACHER_TEXTS: by_teacher is not None,
        Capability.BEAM_SEARCH: by_teacher is not None and by_teacher.decoding.beams > 1,
        Capability.CORPUS: recipe.part(WithCorpus) is not None,
        Capability.TRAINED_TEACHER: any(stage.outer is not None for stage in recipe.stages),
        Capability.FEATURES: needs.features or any(stage.fit_head for stage in recipe.stages),
        Capability.PRUNING: any(stage.pruning for stage in recipe.stages),
        Capability.SHARED_ROWS: any(stage.packable for stage in recipe.stages),
    }
    return frozenset(capability for capability, needed in wanted.items() if needed)


def require(
    said: str, recipe: Recipe, offers: Iterable[Lack | Idle], *, beside: Iterable[Recipe] | None = None
) -> None:
    """Check that a run meets all of a recipe's needs, and has no option that does nothing for any of its recipes.

    Args:
        said: the recipe's name in messages: ``recipe 'kd'``.
        recipe: the recipe with the run file's arguments.
        offers: what the sections of the run file lack, and which of their options are only for some recipes.
        beside: other recipes of the run, which an option may be for; ``None``: do not check options.

    Raises:
        ConfigError: gives recipe, section and remedy.
    """
    needed, said = needed_by(recipe), f"{said} with these arguments"
    anywhere = needed.union(*map(needed_by, beside or []))
    for one in offers:
        if isinstance(one, Lack) and one.of in needed:
            raise ConfigError(f"{said} {one.of.value}, and {one.because}. {one.instead}")
        if isinstance(one, Idle) and beside is not None and one.of not in anywhere:
            raise ConfigError(f"{one.option} is for a recipe that {one.of.value}, and {said} does not. {one.instead}")
