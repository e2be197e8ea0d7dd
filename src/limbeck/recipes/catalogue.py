"""The recipes by name: the one table between words typed by users and functions."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError, validate_call

from limbeck.errors import ConfigError, LimbeckError, near_misses
from limbeck.losses.combine import needs_of
from limbeck.recipes.alignment import Alignment
from limbeck.recipes.own_functions import own_function, told
from limbeck.recipes.texts import TextRecipe
from limbeck.stages.stage import Stage
from limbeck.types import Needs

__all__ = [
    "ALIGNMENTS",
    "RECIPES",
    "TEXT_RECIPES",
    "RecipeCard",
    "build_alignment",
    "build_recipe",
    "build_text_recipe",
    "recipe_card",
    "recipe_cards",
]

RECIPES = {
    "fine_tune": "limbeck.recipes.fine_tune:fine_tune",
    "word_level_kd": "limbeck.recipes.word_level_kd:word_level_kd",
    "distilbert": "limbeck.recipes.distilbert:distilbert",
    "pkd": "limbeck.recipes.pkd:pkd",
    "anon": "limbeck.recipes.anon:anon",
}

ALIGNMENTS = {
    "ml_ipd": "limbeck.recipes.ml_ipd:ml_ipd",
    "ml_dft": "limbeck.recipes.ml_dft:ml_dft",
    "pl_bl": "limbeck.recipes.pl_bl:pl_bl",
    "rl_ia": "limbeck.recipes.rl_ia:rl_ia",
    "transfer": "limbeck.recipes.transfer:transfer",
}
"""Recipes of cross-lingual runs (``task.kind: instructions``)."""

TEXT_RECIPES = {
    "sft": "limbeck.recipes.sft:sft",
    "kd": "limbeck.recipes.token_divergences:kd",
    "seqkd": "limbeck.recipes.seqkd:seqkd",
    "reverse_kl": "limbeck.recipes.token_divergences:reverse_kl",
    "jensen_shannon": "limbeck.recipes.token_divergences:jensen_shannon",
    "total_variation": "limbeck.recipes.token_divergences:total_variation",
    "adaptive_kl": "limbeck.recipes.token_divergences:adaptive_kl",
    "taid": "limbeck.recipes.taid:taid",
    "f_distill": "limbeck.recipes.f_distill:f_distill",
    "minillm": "limbeck.recipes.minillm:minillm",
    "gkd": "limbeck.recipes.gkd:gkd",
    "distillm": "limbeck.recipes.distillm:distillm",
}
"""Recipes of runs on texts (``task.kind: generation``)."""

Made = list[Stage] | Alignment | TextRecipe
RecipeFunction = Callable[..., Made]
Kind = Literal["classification", "instructions", "generation"]
_RUNS = {"classification": "classification runs", "instructions": "cross-lingual runs (task.kind: instructions)",
         "generation": "runs on texts (task.kind: generation)"}  # fmt: skip


@dataclass(frozen=True)
class RecipeCard:
    """What a user wants to know before choosing a recipe; read off the recipe itself."""

    name: str
    summary: str
    paper: str
    needs: list[str]
    defaults: dict[str, Any]
    kind: Kind = "classification"
    """The kind of task it is for."""
    left_out: str = ""
    """Terms of the paper that the defaults leave out."""


def build_recipe(name: str, arguments: Mapping[str, Any]) -> list[Stage]:
    """Return the stages of a recipe.

    Args:
        name: a name in `RECIPES`, or anyone's own function as ``my.module:function``.
        arguments: keyword arguments of the recipe.

    Raises:
        ConfigError: unknown name or argument, a value of the wrong type or out of range.
    """
    stages = _call(name, arguments, RECIPES)
    if not isinstance(stages, list):
        raise ConfigError(f"recipe '{name}' is for {_RUNS[_kind(stages)]}, not for {_RUNS['classification']}")
    _require_sound(name, stages)
    return stages


def _require_sound(name: str, stages: Sequence[Stage]) -> None:
    if not stages or not any(t.weight > 0 for stage in stages for t in stage.terms):
        raise ConfigError(f"recipe '{name}' with these arguments has no term of positive weight: nothing to train on")
    if abs(sum(stage.share for stage in stages) - 1) > 1e-6:
        shares = ", ".join(f"{stage.share:g}" for stage in stages)
        raise ConfigError(f"the shares of recipe '{name}' must add up to 1, not {shares}")


def build_alignment(name: str, arguments: Mapping[str, Any]) -> Alignment:
    """Return the cross-lingual system of a recipe.

    Args:
        name: a name in `ALIGNMENTS`, or anyone's own function as ``my.module:function``.
        arguments: keyword arguments of the recipe.

    Raises:
        ConfigError: unknown name or argument, a value of the wrong type or out of range.
    """
    alignment = _call(name, arguments, ALIGNMENTS)
    if not isinstance(alignment, Alignment):
        raise ConfigError(f"recipe '{name}' is not for cross-lingual runs; known here: {', '.join(ALIGNMENTS)}")
    return alignment


def build_text_recipe(name: str, arguments: Mapping[str, Any]) -> TextRecipe:
    """Return the stages of a recipe for students that write.

    Args:
        name: a name in `TEXT_RECIPES`, or anyone's own function as ``my.module:function``.
        arguments: keyword arguments of the recipe.

    Raises:
        ConfigError: unknown name or argument, a value of the wrong type or out of range.
    """
    recipe = _call(name, arguments, TEXT_RECIPES)
    if not isinstance(recipe, TextRecipe):
        raise ConfigError(f"recipe '{name}' is not for {_RUNS['generation']}; known here: {', '.join(TEXT_RECIPES)}")
    _require_sound(name, recipe.stages)
    return recipe


def _call(name: str, arguments: Mapping[str, Any], table: Mapping[str, str]) -> Made:
    function = _find(name, table)
    try:
        known = list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"recipe '{name}' is no function whose arguments can be read: {error}") from error
    unknown = [f"recipe.{key}: '{name}' has no such argument; {near_misses(key, known)}" if known else
               f"recipe.{key}: '{name}' takes no arguments" for key in arguments if key not in known]  # fmt: skip
    if unknown:
        raise ConfigError("; ".join(unknown))
    try:
        found: Made = validate_call(function)(**arguments)
    except ValidationError as error:
        faults = [
            f"recipe.{'.'.join(map(str, e['loc']))}: {e['msg']} (got {reprlib.repr(e['input'])})"
            for e in error.errors()
        ]
        raise ConfigError("; ".join(faults)) from error
    except Exception as error:
        if name in table or isinstance(error, LimbeckError):
            raise
        raise ConfigError(f"recipe '{name}' raised {told(error)}") from error
    stages = found if isinstance(found, list) else getattr(found, "stages", None)
    if not isinstance(stages, Sequence) or not all(isinstance(stage, Stage) for stage in stages):
        raise ConfigError(f"recipe '{name}' returned {type(found).__name__}, where a list of limbeck's Stage belongs")
    return found


def recipe_cards() -> list[RecipeCard]:
    """Return a card for every recipe in `RECIPES`, `TEXT_RECIPES` and `ALIGNMENTS`."""
    return [recipe_card(name) for name in (*RECIPES, *TEXT_RECIPES, *ALIGNMENTS)]


def recipe_card(name: str) -> RecipeCard:
    """Return summary, paper, needs, defaults and what they leave out, from docstring, signature and stages.

    Raises:
        ConfigError: unknown name.
    """
    function = _find(name, {**RECIPES, **TEXT_RECIPES, **ALIGNMENTS})
    doc = inspect.getdoc(function) or ""
    paper, left_out = (_paragraph(doc, head) for head in ("Paper:", "Left out by default:"))
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    callable_as_is = len(defaults) == len(parameters)
    made = function() if callable_as_is else []
    needs = _needs(made)
    wanted = [
        ("labels", needs.labels),
        ("teacher logits", needs.logits),
        ("teacher hidden states", needs.teacher_hidden),
        ("teacher [CLS] states", bool(needs.teacher_first)),
        ("equal width", bool(needs.teacher_taps)),
        ("equal tokenizers", needs.same_tokens),
    ]
    summary = _one_line(doc.split("\n\n")[0].replace("`", ""))
    named = [word for word, needed in wanted if needed]
    if isinstance(made, Alignment):
        named = _records_of(made)
    elif isinstance(made, TextRecipe):
        named = _texts_of(made)
    return RecipeCard(name, summary, paper, named, defaults, _kind(made), left_out)


def _paragraph(doc: str, head: str) -> str:
    """Return the paragraph of a docstring that begins with `head`, without it; empty where there is none."""
    found = (part.removeprefix(head) for part in doc.split("\n\n") if part.startswith(head))
    return _one_line(next(found, "").replace("`", ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _records_of(alignment: Alignment) -> list[str]:
    rows = {stage.rows for stage in alignment.stages}
    from_english = alignment.starts_from == "english_model"
    few = "few target-language labels (data.n_target)"
    wanted = [
        ("the English model, which every run trains first", from_english),
        ("the pretrained backbone", not from_english and alignment.scorer == "run"),
        ("the pretrained backbone with its masked-language head", alignment.scorer == "verbaliser"),
        ("target-language texts without labels", "paired" in rows),
        ("their translations (pairing: same needs none)", "paired" in rows and alignment.pairing != "same"),
        ("source-language labels", "english+target" in rows),
        (few, bool({"target", "english+target"} & rows)),
    ]
    return [word for word, needed in wanted if needed]


def _texts_of(recipe: TextRecipe) -> list[str]:
    needs = _needs(recipe)
    by_teacher = any(stage.completions == "teacher" for stage in recipe.stages)
    wanted = [
        ("completions", recipe.reads_completions),
        ("a teacher that writes", by_teacher),
        ("teacher logits and its vocabulary", needs.logits),
        ("the student's own texts", any(stage.written is not None for stage in recipe.stages)),
    ]
    return [word for word, needed in wanted if needed]


def _kind(made: Made) -> Kind:
    if isinstance(made, Alignment):
        return "instructions"
    return "generation" if isinstance(made, TextRecipe) else "classification"


def _kind_of(name: str) -> Kind | None:
    """Return the kind of run that a recipe of ours is for."""
    tables: dict[Kind, Mapping[str, str]] = {
        "classification": RECIPES, "instructions": ALIGNMENTS, "generation": TEXT_RECIPES,
    }  # fmt: skip
    return next((kind for kind, table in tables.items() if name in table), None)


def _needs(made: Made) -> Needs:
    stages = made if isinstance(made, list) else made.stages
    return needs_of(tuple(term for stage in stages for term in stage.terms))


def _find(name: str, table: Mapping[str, str]) -> RecipeFunction:
    target = table.get(name, name if ":" in name else None)
    if target is None and (kind := _kind_of(name)) is not None:
        raise ConfigError(
            f"recipe '{name}' is for {_RUNS[kind]}. Recipes for this task: {', '.join(table)} (limbeck recipes NAME "
            "says what they do)"
        )
    if target is None:
        raise ConfigError(f"unknown recipe '{name}': {near_misses(name, table)} (or your own as my.module:function)")
    return own_function(target, "recipe")
