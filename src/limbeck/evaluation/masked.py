"""Figures of masked language models on held-out texts, whose masks are the same for all.

Two sources of chance are kept apart: the held-out texts (bootstrap over texts, the same samples for all systems) and
the training seed (t-test over seeds). Texts are resampled, never tokens: the tokens of a text are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.masked.encode import MaskedTexts
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.generation.run_models import reference_sums
from limbeck.evaluation.measured import Measured, compared_pairs, comparisons, figures, retention
from limbeck.evaluation.metrics.masked_tokens import MASKED_TOKENS
from limbeck.evaluation.metrics.measure import measure
from limbeck.results.record import System
from limbeck.types import Update

__all__ = ["masked_sums", "measure_masked"]


def masked_sums(
    model: Any, encoded: MaskedTexts, *, teacher: Any = None, vocabulary: int | None = None, update: Update
) -> SystemOutputs:
    """Return sums over the masked tokens of each text; see `reference_sums`."""
    found = reference_sums(model, encoded, teacher=teacher, vocabulary=vocabulary, update=update)
    _, text_of = np.unique(encoded.text_of, return_inverse=True)

    def by_text(sums_N: NDArray[Any]) -> NDArray[Any]:
        total = np.zeros(int(text_of.max()) + 1, dtype=sums_N.dtype)
        np.add.at(total, text_of, sums_N)
        return total

    columns: dict[str, Any] = {name: by_text(sums_N) for name, sums_N in vars(found).items() if sums_N is not None}
    return replace(found, **columns)


def measure_masked(systems: Sequence[System], outputs: Mapping[str, Mapping[int, SystemOutputs]]) -> Measured:
    """Return all figures, with 95 % bootstrap intervals over texts.

    Args:
        systems: on the same texts with the same masks; figures are means over their seeds.
        outputs: of each system, by training seed.

    Raises:
        DataError: two compared systems have several seeds each, but not the same ones.
    """
    found = measure({one.name: outputs[one.name] for one in systems}, MASKED_TOKENS)
    headline = MASKED_TOKENS[0].metric.key
    return Measured(
        metrics=[one.metric for one in MASKED_TOKENS],
        headline=headline,
        systems=list(systems),
        figures=figures(found),
        comparisons=comparisons(found, compared_pairs(systems), MASKED_TOKENS, headline),
        sections=[retention(found, systems, MASKED_TOKENS)],
        warnings=[
            f"{one.title}, seed {seed}: its loss is not finite on some held-out texts, so it is not shown."
            for one in systems
            for seed, of_seed in outputs[one.name].items()
            if of_seed.nll_sum_N is not None and not np.isfinite(of_seed.nll_sum_N).all()
        ],
    )
