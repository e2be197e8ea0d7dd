"""The recipes by name: the one table between names that users type and functions."""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError, validate_call

from limbeck.errors import ConfigError, LimbeckError, near_misses
from limbeck.recipes.kinds import DEFAULT_KIND, KINDS, for_kind, suits
from limbeck.recipes.own_functions import own_function, told
from limbeck.recipes.published import PublishedResult, published_results
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows, Paired, TeacherWritten
from limbeck.stages.stage import Stage

__all__ = ["AUTO", "RECIPES", "RecipeCard", "build_recipe", "recipe_card", "recipe_cards", "recipes_for"]

RECIPES = {
    "fine_tune": "limbeck.recipes.fine_tune:fine_tune",
    "kd": "limbeck.recipes.kd:kd",
    "minima": "limbeck.recipes.minima:minima",
    "distilbert": "limbeck.recipes.distilbert:distilbert",
    "homodistil": "limbeck.recipes.homodistil:homodistil",
    "tinybert": "limbeck.recipes.tinybert:tinybert",
    "mobilebert": "limbeck.recipes.mobilebert:mobilebert",
    "minilm": "limbeck.recipes.minilm:minilm",
    "minilm_v2": "limbeck.recipes.minilm_v2:minilm_v2",
    "pkd": "limbeck.recipes.pkd:pkd",
    "ted": "limbeck.recipes.ted:ted",
    "mixkd": "limbeck.recipes.mixkd:mixkd",
    "distilbilstm": "limbeck.recipes.distilbilstm:distilbilstm",
    "ad_kd": "limbeck.recipes.ad_kd:ad_kd",
    "reaugkd": "limbeck.recipes.reaugkd:reaugkd",
    "xtremedistil": "limbeck.recipes.xtremedistil:xtremedistil",
    "metadistil": "limbeck.recipes.metadistil:metadistil",
    "pd": "limbeck.recipes.pd:pd",
    "anon": "limbeck.recipes.anon:anon",
    "linear_probe": "limbeck.recipes.linear_probe:linear_probe",
    "setfit": "limbeck.recipes.setfit:setfit",
    "seqkd": "limbeck.recipes.seqkd:seqkd",
    "reverse_kl": "limbeck.recipes.token_divergences:reverse_kl",
    "jensen_shannon": "limbeck.recipes.token_divergences:jensen_shannon",
    "total_variation": "limbeck.recipes.token_divergences:total_variation",
    "adaptive_kl": "limbeck.recipes.token_divergences:adaptive_kl",
    "taid": "limbeck.recipes.taid:taid",
    "f_distill": "limbeck.recipes.f_distill:f_distill",
    "engine": "limbeck.recipes.engine:engine",
    "minillm": "limbeck.recipes.minillm:minillm",
    "gkd": "limbeck.recipes.gkd:gkd",
    "distillm": "limbeck.recipes.distillm:distillm",
    "ml_ipd": "limbeck.recipes.ml_ipd:ml_ipd",
    "ml_dft": "limbeck.recipes.ml_dft:ml_dft",
    "pl_bl": "limbeck.recipes.pl_bl:pl_bl",
    "rl_ia": "limbeck.recipes.rl_ia:rl_ia",
    "transfer": "limbeck.recipes.transfer:transfer",
}

_ALSO = {
    "sft": "fine_tune", "finetune": "fine_tune", "finetuning": "fine_tune", "fine_tuning": "fine_tune",
    "supervised": "fine_tune", "ce": "fine_tune", "hinton": "kd", "vanilla_kd": "kd", "logits": "kd",
    "soft_labels": "kd", "soft_targets": "kd", "forward_kl": "kd", "distillation": "kd", "distill": "kd",
    "patient_kd": "pkd", "sequence_kd": "seqkd", "seq_kd": "seqkd", "sequence_level_kd": "seqkd", "rkl": "reverse_kl",
    "jsd": "jensen_shannon", "tvd": "total_variation", "akl": "adaptive_kl", "generalized_kd": "gkd",
    "generalised_kd": "gkd", "on_policy": "gkd", "distillm_2": "distillm", "distil_bert": "distilbert",
    "tiny_bert": "tinybert", "mobile_bert": "mobilebert", "mini_ma": "minima", "homobert": "homodistil",
    "pruning": "minima",
    "task_aware": "ted", "mini_lm": "minilm", "minilmv2": "minilm_v2", "minilm2": "minilm_v2",
    "bilstm": "distilbilstm", "distil_bilstm": "distilbilstm", "logit_mse": "distilbilstm", "mse": "distilbilstm",
    "mix_kd": "mixkd", "mixup": "mixkd", "adkd": "ad_kd", "attribution": "ad_kd",
    "xtreme_distil": "xtremedistil", "xtremedistil_transformers": "xtremedistil",
    "xtreme_distil_transformers": "xtremedistil",
    "meta_distil": "metadistil", "meta_kd": "metadistil",
}  # fmt: skip
"""What others call a recipe, for whoever writes that in a run file."""

RecipeFunction = Callable[..., Recipe | Sequence[Stage]]


@dataclass(frozen=True)
class RecipeCard:
    """What a user wants to know before choosing a recipe; derived from the recipe itself."""

    name: str
    summary: str
    paper: str
    needs: list[str]
    defaults: dict[str, Any]
    kinds: tuple[str, ...]
    """The kinds of task it suits; none for a recipe that cannot be built without arguments."""
    left_out: str = ""
    """Parts of the paper that the defaults leave out."""
    published: tuple[PublishedResult, ...] = ()
    """What is reported of the method elsewhere."""


AUTO = RecipeCard(
    name="auto",
    summary=(
        "A run file of classification that chooses for you: a cross-fitted ensemble of an encoder and a bag of words "
        "as the teacher, half of the encoder as the student"
    ),
    paper="",
    needs=["a few labels, or another model's", "teacher.model or student.model: a sentence encoder"],
    defaults={},
    kinds=(DEFAULT_KIND,),
)
"""No recipe, but what stands for one: it is filled in before recipes are looked up."""


def build_recipe(name: str, arguments: Mapping[str, Any], kind: str) -> Recipe:
    """Return a recipe for a kind of task.

    Args:
        name: a name in `RECIPES`, or a user's function as ``my.module:function``.
        arguments: keyword arguments of the recipe.
        kind: the run's kind of task.

    Raises:
        ConfigError: unknown name or argument, a value of the wrong type or out of range, or a recipe for other kinds.
    """
    function = _find(name, kind)
    if name in RECIPES:
        _require_suited(name, kind, _as_recipe(name, function()))  # before unknown arguments
    recipe = _as_recipe(name, _call(name, function, arguments))
    _require_suited(name, kind, recipe)
    recipe = for_kind(recipe, kind)
    if not recipe.stages or not any(t.weight > 0 for stage in recipe.stages for t in stage.terms):
        raise ConfigError(f"recipe '{name}' with these arguments has no term of positive weight: nothing to train on")
    trains = any(stage.share or not stage.fit_head for stage in recipe.stages)
    if KINDS[kind].shares_budget and trains and abs(sum(stage.share for stage in recipe.stages) - 1) > 1e-6:
        shares = ", ".join(f"{stage.share:g}" for stage in recipe.stages)
        raise ConfigError(f"the shares of recipe '{name}' must add up to 1, not {shares}")
    return recipe


def recipes_for(kind: str) -> list[str]:
    """Return the names of the recipes that suit a kind of task."""
    return [name for name in RECIPES if kind in recipe_card(name).kinds]


def _require_suited(name: str, kind: str, recipe: Recipe) -> None:
    suited = suits(recipe)
    if kind in suited:
        return
    if not suited:
        raise ConfigError(f"recipe '{name}' combines terms and sources that no kind of task has together")
    runs = {one.name: one.named(one.runs) for one in KINDS.values()}
    is_for = " and ".join(words for one, words in runs.items() if one in suited)
    raise ConfigError(
        f"recipe '{name}' is for {is_for}, not for {runs[kind]}. Recipes for this task: "
        f"{', '.join(recipes_for(kind))} (limbeck recipes NAME describes them)"
    )


@functools.cache
def _checked(function: RecipeFunction) -> RecipeFunction:
    """Return one of our recipes with its arguments checked; to prepare the check takes longer than the recipe."""
    return validate_call(function)


def _call(name: str, function: RecipeFunction, arguments: Mapping[str, Any]) -> Any:
    try:
        known = list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"recipe '{name}' is not a function with readable arguments: {error}") from error
    unknown = [f"recipe.{key}: '{name}' has no such argument; {near_misses(key, known)}" if known else
               f"recipe.{key}: '{name}' takes no arguments" for key in arguments if key not in known]  # fmt: skip
    if unknown:
        raise ConfigError("; ".join(unknown))
    try:
        return (_checked if name in RECIPES else validate_call)(function)(**arguments)
    except ValidationError as error:
        faults = [
            f"recipe.{'.'.join(map(str, e['loc']))}: {e['msg']} (got {reprlib.repr(e['input'])})"
            for e in error.errors()
        ]
        raise ConfigError("; ".join(faults)) from error
    except Exception as error:
        if name in RECIPES or isinstance(error, LimbeckError):
            raise
        raise ConfigError(f"recipe '{name}' raised {told(error)}") from error


def _as_recipe(name: str, made: Any) -> Recipe:
    """Return a recipe; a list of stages becomes one with the function's name."""
    if isinstance(made, list):
        made = Recipe(name.rpartition(":")[2], tuple(made))
    if not isinstance(made, Recipe) or not all(isinstance(stage, Stage) for stage in made.stages):
        raise ConfigError(
            f"recipe '{name}' returned {type(made).__name__}, but must return a Recipe or a list of limbeck's Stage"
        )
    return made


def recipe_cards() -> list[RecipeCard]:
    """Return a card for every recipe in `RECIPES`."""
    return [recipe_card(name) for name in RECIPES]


def recipe_card(name: str) -> RecipeCard:
    """Return a recipe's summary, paper, needs, defaults and omissions, from docstring, signature and stages.

    Raises:
        ConfigError: unknown name.
    """
    if name == AUTO.name:
        return AUTO
    function = _find(name)
    doc = inspect.getdoc(function) or ""
    paper, left_out = (_paragraph(doc, head) for head in ("Paper:", "Left out by default:"))
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    summary = _one_line(doc.split("\n\n")[0].replace("`", ""))
    if len(defaults) < len(parameters):
        return RecipeCard(name, summary, paper, [], defaults, (), left_out)
    recipe = _as_recipe(name, function())
    suited = suits(recipe)
    kinds = tuple(kind for kind in KINDS if kind in suited)
    needs, published = _needs(recipe, kinds), published_results(name)
    return RecipeCard(name, summary, paper, needs, defaults, kinds, left_out, published)


def _paragraph(doc: str, head: str) -> str:
    """Return the paragraph of a docstring that begins with `head`, without it; empty if there is none."""
    found = (part.removeprefix(head) for part in doc.split("\n\n") if part.startswith(head))
    return _one_line(next(found, "").replace("`", ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _needs(recipe: Recipe, kinds: tuple[str, ...]) -> list[str]:
    """Return a recipe's needs in words."""
    outputs = {KINDS[kind].output for kind in kinds}
    if outputs == {"candidates"}:
        wanted = _of_records(recipe)
    elif outputs == {"tokens"}:
        wanted = _of_texts(recipe)
    else:
        wanted = _of_rows(recipe, texts="tokens" in outputs)
    return [words for words, needed in wanted if needed]


def _of_rows(recipe: Recipe, *, texts: bool) -> list[tuple[str, bool]]:
    needs, prunes = recipe.needs, any(stage.pruning is not None for stage in recipe.stages)
    return [
        ("labels (for texts: completions)" if texts else "labels", needs.labels),
        ("teacher logits (for texts: and its vocabulary)" if texts else "teacher logits", needs.logits),
        ("teacher hidden states", needs.teacher_hidden),
        ("teacher [CLS] states", bool(needs.teacher_first)),
        ("the teacher on changed embeddings", bool(needs.teacher_probes)),
        ("equal width", needs.same_width),
        ("equal numbers of attention heads", needs.same_heads and not prunes),
        ("a student with fewer units (student.pruned)", prunes),
        ("equal tokenizers", needs.same_tokens),
    ]


def _of_records(recipe: Recipe) -> list[tuple[str, bool]]:
    read = {stage.source.which for stage in recipe.stages if isinstance(stage.source, GivenRows)}
    from_teacher, paired = recipe.starts_from == "teacher", recipe.part(Paired)
    masked = recipe.options.scorer == "verbaliser"
    return [
        ("the English model, which every run trains first", from_teacher),
        ("the pretrained backbone", not from_teacher and not masked),
        ("the pretrained backbone with its masked-language head", masked),
        ("target-language texts without labels", paired is not None),
        ("their translations (pairing: same needs none)", paired is not None and paired.pairing != "same"),
        ("source-language labels", "source+target" in read),
        ("few target-language labels (data.shots)", bool({"target", "source+target"} & read)),
    ]


def _of_texts(recipe: Recipe) -> list[tuple[str, bool]]:
    return [
        ("completions", recipe.reads_completions),
        ("a generative teacher", recipe.part(TeacherWritten) is not None),
        ("teacher logits and its vocabulary", recipe.needs.logits),
        ("the student's own texts", recipe.samples),
    ]


def _find(name: str, kind: str | None = None) -> RecipeFunction:
    target = RECIPES.get(name, name if ":" in name else None)
    if name == AUTO.name:
        raise ConfigError(
            "recipe 'auto' stands for a whole run file of classification: as the run's own recipe, without arguments"
        )
    if target is None:
        known = RECIPES if kind is None else recipes_for(kind)
        meant = _ALSO.get(name.lower().replace("-", "_").replace(" ", "_"))
        advice = f"here it is called '{meant}'" if meant in known else near_misses(name, known)
        raise ConfigError(f"unknown recipe '{name}': {advice} (or your own as my.module:function)")
    return own_function(target, "recipe")
