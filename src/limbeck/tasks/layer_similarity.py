"""The similarity of student and teacher layers: measured if a recipe maps layers by it, kept, and in the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.results.sections import LayerMap
from limbeck.stages.layer_similarity import SAMPLE_ROWS
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.finding import Finding
from limbeck.tasks.kept import kept_array
from limbeck.types import Progress, Shapes

__all__ = ["SIMILARITY_FILE", "layer_map", "similarity_findings", "with_similarity"]

SIMILARITY_FILE = "layer_similarity.npy"
"""In the run folder: student layers by teacher layers. Layer maps follow from it, so a resumed run has the same."""


def with_similarity(
    config: Any, pair: Shapes, folder: Path, measure: Callable[[], NDArray[np.float32]], progress: Progress
) -> Shapes:
    """Return the shapes of a pair of models with the similarity of their layers, if a recipe of the run reads it.

    Args:
        config: the run.
        pair: the shapes.
        folder: the run folder; what was measured is read from it.
        measure: compares the layers of the first seed's student before training with those of the final teacher.
        progress: reports damage of the file.
    """
    if not _wanted(config):
        return pair
    found = kept_array(folder, SIMILARITY_FILE, measure, progress)
    return pair._replace(similarity=tuple(map(tuple, found.tolist())))


def layer_map(config: Any, pair: Shapes, rows: int) -> LayerMap | None:
    """Return the record's section on layers that are compared by similarity; ``None`` if no recipe does.

    Args:
        config: the run.
        pair: with the similarity.
        rows: training rows.
    """
    maps: dict[str, list[tuple[int, int]]] = {}
    for name, recipe in config.recipes().items() if pair.similarity else ():
        terms = (t.term for stage in recipe.build().stages for t in stage.bound(pair))
        pairs = {layers for term in terms if term.needs.similarity for layers in term.compared_layers}
        if pairs:
            maps[name] = sorted(pairs)
    if not maps:
        return None
    return LayerMap(
        similarity=[list(row) for row in pair.similarity],
        rows=min(rows, SAMPLE_ROWS),
        maps=maps,
        random_student=config.student.config is not None,
    )


def similarity_findings(config: Any) -> list[Finding]:
    """Return the doctor's warning of a layer map by similarity for a student that knows nothing yet."""
    if config.student.config is None or not _wanted(config):
        return []
    words = (
        "the layer map is chosen by similarity (cka), but the student's weights are random: its layers are like none "
        "of the teacher's in particular, and the map is chance. Use a pretrained student, or a map by depth"
    )
    return [Finding("warning", "layer map", words)]


def _wanted(config: Any) -> bool:
    return any(one.term.needs.similarity for stage in all_stages(config.recipes()) for one in stage.terms)
