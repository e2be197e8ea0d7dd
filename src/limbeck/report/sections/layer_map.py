"""Layers of students that are compared with the teacher layers most like them."""

from __future__ import annotations

from limbeck.formatting import count_text, decimal_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.plots.layer_map import layer_map_plot
from limbeck.results.record import Results
from limbeck.results.sections import LayerMap

__all__ = ["render"]


def render(section: LayerMap, results: Results) -> Block:
    """Show which layers are compared, and how alike all of them are."""
    chosen = [(name, results.title(name), dict(pairs)) for name, pairs in section.maps.items()]
    students = range(1, len(section.similarity) + 1)

    def cell(pairs: dict[int, int], layer: int) -> Cell:
        if layer not in pairs:
            return Cell("")
        other = pairs[layer]
        return Cell(str(other), small=decimal_text(section.similarity[layer - 1][other - 1]))

    table = Table(
        "Teacher layer that each student layer is compared with",
        [Column("Student layer"), *(Column(title, "teacher layer, CKA", kind="words") for _, title, _ in chosen)],
        [Row([Cell(str(layer)), *(cell(pairs, layer) for _, _, pairs in chosen)]) for layer in students],
    )
    lead = (
        f"Each student layer learns from the teacher layer that is most like it, in ascending order. Measured on "
        f"{count_text(section.rows)} training rows, with the first seed's student before training."
    )
    random = "The student began with random weights: its layers were like none of the teacher's. The map is chance."
    return Block(
        "Layer map",
        lead,
        tables=[table],
        notes=[random] if section.random_student else [],
        plots=lambda: [layer_map_plot(section, name, title) for name, title, _ in chosen],
        words={
            "CKA": "Centred kernel alignment: how alike two representations of the same rows are. 1: equal but for "
            "rotation and scale; about 0: unrelated."
        },
    )
