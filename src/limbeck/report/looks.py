"""How a system looks, the same in every figure and table of a report."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.report.drawing import BROWN, MARKERS, MUTED, SYSTEM_COLOURS, VIOLET

__all__ = ["Look", "look_of"]


@dataclass(frozen=True)
class Look:
    """Colour and marker of a system; never the colour alone."""

    colour: str
    marker: str
    """In the words of matplotlib."""
    mark: str
    """CSS class of the small mark beside the system's name."""


_CLASSIFICATION = {str(name): Look(SYSTEM_COLOURS[name], MARKERS[name], name) for name in SYSTEM_COLOURS}
_LOOKS = {
    **_CLASSIFICATION,
    "english_model": _CLASSIFICATION["teacher"],
    "ml_ipd": _CLASSIFICATION["distilled"],
    "ml_dft": _CLASSIFICATION["fine_tuned"],
    "transfer": _CLASSIFICATION["student_before"],
    "pl_bl": Look(VIOLET, "^", "violet"),
    "rl_ia": Look(BROWN, "P", "brown"),
}


def look_of(name: str) -> Look:
    """Return the look of a system; systems unknown to the report share one."""
    return _LOOKS.get(name, Look(MUTED, "X", "other"))
