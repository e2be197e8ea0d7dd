"""A recipe by its name, and seeds: what run files of all kinds hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.kinds import Kind
from limbeck.recipes.recipe import Recipe

__all__ = ["NamedRecipe", "Seeds", "name_alone"]

_LARGEST_SEED = 2**32 - 1
"""Of numpy's global generator, which the Hugging Face trainer seeds."""


class NamedRecipe(BaseModel):
    """A recipe's name and its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: ClassVar[Kind]
    """Of the run."""
    name: str

    def build(self) -> Recipe:
        """Build the recipe.

        Raises:
            ConfigError: unknown name or argument, or a recipe for other kinds of task.
        """
        return build_recipe(self.name, self.arguments, self.kind)

    @property
    def arguments(self) -> dict[str, Any]:
        """The recipe's own arguments."""
        return dict(self.model_extra or {})

    def with_defaults(self) -> Self:
        """Return this recipe with every argument spelled out."""
        return type(self)(name=self.name, **{**recipe_card(self.name).defaults, **self.arguments})


def name_alone(value: Any) -> Any:
    """Let a recipe's name stand for a recipe without arguments."""
    return {"name": value} if isinstance(value, str) else value


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds) or not 0 <= min(seeds) <= max(seeds) <= _LARGEST_SEED:
        raise ValueError(f"seeds must be different whole numbers from 0 to {_LARGEST_SEED}")
    return seeds


Seeds = Annotated[list[int], Field(min_length=1), AfterValidator(_different)]
