"""The students of a run, by name: the main one, and its baselines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from limbeck.errors import ConfigError
from limbeck.recipes.capabilities import Capability, Idle, Lack, require
from limbeck.recipes.own_functions import own_function
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.on_policy import OnPolicy
from limbeck.stages.stage import Stage
from limbeck.tasks.run_config import NamedRecipe, RunSettings, Student
from limbeck.tasks.task import System

__all__ = [
    "FROZEN",
    "MAIN",
    "STUDENT_INIT",
    "TEACHER",
    "TFIDF",
    "all_stages",
    "loss_temperatures",
    "numbered",
    "pruning_lacks",
    "student_recipes",
    "system_of",
    "trained",
    "untrained_warnings",
    "with_baselines",
    "with_recipe",
]

TEACHER, STUDENT_INIT, MAIN = "teacher", "student_init", "distilled"
"""Names of systems that are not baselines."""
TFIDF, FROZEN = "tfidf", "frozen_embeddings"
"""Names of the simple baselines of classifiers."""

Named = TypeVar("Named", bound=NamedRecipe)
Run = TypeVar("Run", bound=RunSettings)


def numbered(keys: Sequence[str]) -> list[str]:
    """Return the names of baselines: the keys of their recipes, numbered if repeated.

    >>> numbered(["pkd", "fine_tune", "pkd"])
    ['pkd', 'fine_tune', 'pkd_2']
    """
    counts = [keys[: place + 1].count(key) for place, key in enumerate(keys)]
    return [key if count == 1 else f"{key}_{count}" for key, count in zip(keys, counts, strict=True)]


def student_recipes(main: Named, baselines: Sequence[Named]) -> dict[str, Named]:
    """Return the recipes of all students by the names of their systems, the main one first."""
    return {MAIN: main, **dict(zip(numbered([one.key for one in baselines]), baselines, strict=True))}


def pruning_lacks(student: Student, training: Any) -> Iterator[Lack]:
    """Yield why a recipe cannot prune this student while it trains, for any kind of run."""
    if student.pruned is None or not student.pruned.cuts_units:
        advice = "Give widths: student: {pruned: {hidden: half, feed_forward: half}}"
        yield Lack(Capability.PRUNING, "student.pruned does not say what is left of its units", advice)
    if getattr(training, "early_stopping", None) is not None:
        because = "training.early_stopping would choose weights from before it is done"
        yield Lack(Capability.PRUNING, because, "Leave it out")
    if getattr(student, "adapter", None) is not None:
        yield Lack(Capability.PRUNING, "student.adapter freezes its weights", "Leave it out")


def with_recipe(config: Run, offers: Iterable[Lack | Idle]) -> Run:
    """Return a run with the arguments of its main recipe spelled out.

    Args:
        config: the run file.
        offers: what its sections lack, and their options that are only for some recipes.

    Raises:
        ConfigError: the recipe is wrong, needs what the run does not give, or no recipe needs an option.
    """
    recipe = config.recipe.build()
    require(f"recipe '{config.recipe.name}'", recipe, offers, beside=_sound(config.baselines))
    _require_reward(recipe)
    return config.model_copy(update={"recipe": config.recipe.with_defaults()})


def with_baselines(config: Run, offers: Sequence[Lack | Idle]) -> Run:
    """Return a run with the arguments of its baselines spelled out; call `with_recipe` first.

    A default baseline that is the main recipe itself is dropped.

    Raises:
        ConfigError: a recipe is wrong, needs what the run does not give, or is repeated.
    """
    chosen, main = config.baselines, config.recipe
    if "baselines" not in config.model_fields_set:
        chosen = [one for one in chosen if one.name != main.name]
    for name, baseline in zip(numbered([one.key for one in chosen]), chosen, strict=True):
        if name in (TEACHER, STUDENT_INIT, MAIN, TFIDF, FROZEN):
            raise ConfigError(f"baselines: '{name}' is a system of every run. Give the function another name")
        try:
            recipe = baseline.build()
        except ConfigError as error:
            raise ConfigError(f"baselines.{name}: {error}") from error
        require(f"baseline '{name}'", recipe, offers)
        _require_reward(recipe)
    whole = [main, *(one.with_defaults() for one in chosen)]
    if twice := [one.name for place, one in enumerate(whole) if one in whole[:place]]:
        raise ConfigError(f"baselines: '{twice[0]}' is already in this run with these very arguments. Leave it out")
    return config.model_copy(update={"baselines": whole[1:]})


def _sound(recipes: Iterable[NamedRecipe]) -> list[Recipe]:
    """Return the recipes that can be built; `with_baselines` reports the others."""
    found = []
    for recipe in recipes:
        with contextlib.suppress(ConfigError):
            found.append(recipe.build())
    return found


def _require_reward(recipe: Recipe) -> None:
    on_policy = recipe.part(OnPolicy)
    if on_policy is not None and on_policy.reward is not None:
        own_function(on_policy.reward, "recipe.reward")


def all_stages(recipes: Mapping[str, NamedRecipe]) -> list[Stage]:
    """Return the stages of all students of a run, which determine the teacher's signals."""
    return [stage for recipe in recipes.values() for stage in recipe.build().stages]


def loss_temperatures(recipes: Mapping[str, NamedRecipe]) -> set[float]:
    """Return all temperatures at which token probabilities are compared with the teacher's."""
    return {temperature for recipe in recipes.values() for temperature in recipe.build().loss_temperatures}


def trained(recipes: Mapping[str, Named], labelled: int) -> dict[str, Named]:
    """Return the recipes, without baselines that need labels if there are none.

    Args:
        recipes: as `student_recipes` returns them.
        labelled: training rows with a label, or a completion.
    """
    return {name: one for name, one in recipes.items() if labelled or name == MAIN or not one.build().plain}


def untrained_warnings(recipes: Mapping[str, Named], labelled: int, label: str) -> list[str]:
    """Return which baselines are left out, and why; `label` is the word for what the rows lack."""
    left_out = [recipe.key for name, recipe in recipes.items() if name not in trained(recipes, labelled)]
    return [f"No training row has a {label}, so there is no baseline {key} to compare with." for key in left_out]


def system_of(name: str, recipe: NamedRecipe, main: NamedRecipe) -> System:
    """Return the main system or a baseline, without its stages; `main` is the recipe of the main one."""
    if name == MAIN:
        return System(MAIN, "main", title="Distilled student", recipe=recipe.key)
    built = recipe.build()
    return System(
        name,
        "baseline",
        title=built.title + name.removeprefix(recipe.key).replace("_", " "),
        recipe=recipe.key,
        control=built.is_control_of(main.build()),
    )
