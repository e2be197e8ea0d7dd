"""The sections of a record as blocks, one file per kind of section."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from limbeck.report.block import Block
from limbeck.report.sections import (
    adapter,
    calibration,
    classes,
    confusion,
    disagreements,
    ensemble,
    forgetting,
    gate,
    harness,
    languages,
    layer_map,
    reliability,
    retention,
    retrieval_memory,
    samples,
    search,
    simple_baselines,
    speed,
    system_costs,
    teacher_labels,
    writing,
)
from limbeck.report.slices import slice_block, slice_keys
from limbeck.results.record import Results

__all__ = ["section_blocks"]

_RENDERERS: dict[str, Callable[[Any, Results], Block]] = {
    "adapter": adapter.render,
    "calibration": calibration.render,
    "classes": classes.render,
    "confusion": confusion.render,
    "disagreements": disagreements.render,
    "ensemble": ensemble.render,
    "forgetting": forgetting.render,
    "gate": gate.render,
    "harness": harness.render,
    "languages": languages.render,
    "layer_map": layer_map.render,
    "reliability": reliability.render,
    "retention": retention.render,
    "retrieval_memory": retrieval_memory.render,
    "samples": samples.render,
    "search": search.render,
    "simple_baselines": simple_baselines.render,
    "speed": speed.render,
    "system_costs": system_costs.render,
    "teacher_labels": teacher_labels.render,
    "writing": writing.render,
}
_SLICES_OF = {"classes": {"class"}, "languages": {"lang", "task", "resource"}}
"""Slice keys whose figures a section shows; all others have their own block."""


def section_blocks(results: Results) -> list[Block]:
    """Return a block for each section, then one for each slice key that no section shows."""
    blocks = [_RENDERERS[section.kind](section, results) for section in results.sections]
    shown = {key for section in results.sections for key in _SLICES_OF.get(section.kind, set())}
    return blocks + [slice_block(results, key, f"{key}s") for key in slice_keys(results) if key not in shown]
