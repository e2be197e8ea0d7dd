"""Figures of a tagging run from the tag logits of all systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from limbeck.data.tagging.encode import EncodedUnits, lost_spans, spans_from_tags
from limbeck.data.tagging.rows import Range, TaggedRow
from limbeck.data.tagging.scheme import Scheme, Span
from limbeck.evaluation.measured import Measured, compared_pairs, comparisons, figures, figures_of_slices, retention
from limbeck.evaluation.metrics.entities import ENTITIES, TaggerOutputs
from limbeck.evaluation.metrics.measure import measure
from limbeck.results.record import System
from limbeck.results.sections import Classes

__all__ = ["HeldOut", "measure_tagger"]

_OF_LABELS = [one for one in ENTITIES if one.metric.key in ("entity_f1", "precision", "recall")]
_Spans = list[tuple[Span, ...]]


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows, and the conversion of their tags to entities."""

    rows: Sequence[TaggedRow]
    units: Sequence[Sequence[Range]]
    encoded: EncodedUnits
    """The rows encoded for the student."""
    by_teacher: EncodedUnits | None
    """The rows encoded for the teacher; ``None``: it has no model, and an answer for every unit."""
    labels: list[str]
    tags: list[str]
    scheme: Scheme

    def entities(self, logits_UC: NDArray[np.float32], encoded: EncodedUnits) -> _Spans:
        """Return the entities of each row, in characters."""
        return spans_from_tags(logits_UC.argmax(axis=-1), encoded, self.units, self.tags, self.scheme)


def measure_tagger(
    systems: Sequence[System], logits: Mapping[str, Mapping[int, NDArray[np.float32]]], held_out: HeldOut
) -> Measured:
    """Return all figures, with 95 % bootstrap intervals over rows; those of single labels as slices.

    Args:
        systems: a main system among them.
        logits: of each system, by training seed, ``[U, C]``.
        held_out: the rows.

    Raises:
        DataError: two compared systems have several seeds each, but not the same ones.
    """
    teacher = next((one.name for one in systems if one.role == "teacher"), None)
    encoded = {
        name: (held_out.by_teacher or held_out.encoded) if name == teacher else held_out.encoded for name in logits
    }
    named = {
        name: {seed: held_out.entities(found, encoded[name]) for seed, found in by_seed.items()}
        for name, by_seed in logits.items()
    }
    outputs = {name: _outputs(name, of, named, teacher, held_out) for name, of in named.items()}
    found = measure(outputs, ENTITIES)
    labelled = any(row.spans is not None for row in held_out.rows)
    headline = "entity_f1" if labelled else "agreement"
    of_each = [({"class": label}, partial(TaggerOutputs.of, label=label)) for label in held_out.labels]
    return Measured(
        metrics=[one.metric for one in ENTITIES],
        headline=headline,
        systems=list(systems),
        figures=figures(found) + figures_of_slices(outputs, _OF_LABELS, of_each),
        comparisons=comparisons(found, compared_pairs(systems), ENTITIES, headline),
        sections=[Classes(labels=held_out.labels, name="entity types"), retention(found, systems, ENTITIES)],
        warnings=_warnings(held_out),
    )


def _outputs(
    name: str,
    by_seed: Mapping[int, _Spans],
    named: Mapping[str, Mapping[int, _Spans]],
    teacher: str | None,
    rows: HeldOut,
) -> dict[int, TaggerOutputs]:
    reference = next(iter(named[teacher].values())) if teacher is not None and name != teacher else None
    gold = [row.spans for row in rows.rows]
    return {seed: TaggerOutputs(gold, spans, reference, rows.labels) for seed, spans in by_seed.items()}


def _warnings(held_out: HeldOut) -> list[str]:
    spans = [row.spans for row in held_out.rows]
    lost, every = lost_spans(spans, held_out.units), sum(len(row) for row in spans if row is not None)
    if not lost:
        return []
    return [
        f"{lost} of {every} gold entities of the held-out rows begin or end inside of a piece of the student's "
        "tokenizer: no student with it can find them exactly, and they count as errors of all systems."
    ]
