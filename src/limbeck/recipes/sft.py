"""Plain fine-tuning of a language model: the baseline that distillation has to beat."""

from __future__ import annotations

from limbeck.recipes.recipe import Recipe
from limbeck.recipes.text_stages import sft_first

__all__ = ["sft"]


def sft() -> Recipe:
    """Cross-entropy on the completions of the rows; no teacher.

    Paper: Ouyang et al. 2022, "Training language models to follow instructions with human feedback",
    arXiv:2203.02155, section 3.5
    """
    return Recipe("Supervised fine-tuning", sft_first(1.0))
