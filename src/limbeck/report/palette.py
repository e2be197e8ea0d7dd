"""The look of each system, the same in all plots and tables of a report, never by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.results.record import Results, Role

__all__ = ["CSS_VARIABLES", "ERROR", "INK", "LINE", "MAIN", "MUTED", "OTHER", "PAPER", "TEACHER", "Look", "looks"]

INK, MUTED, LINE, PAPER, ERROR = "#1d2126", "#5c636b", "#d9dce0", "#fffffe", "#b3402e"


@dataclass(frozen=True)
class Look:
    """Colour and marker of a system."""

    colour: str
    marker: str
    """A matplotlib marker."""
    mark: str
    """CSS class of the small mark next to the system's name, and CSS variable of its colour."""


# Distinguishable with any of the three common colour vision deficiencies (checked with the simulation
# of Machado et al., 2009); grey against green is the closest pair, so every system has its own marker too.
TEACHER = Look("#27457d", "o", "teacher")
MAIN = Look("#08705e", "D", "main")
OTHER = Look(MUTED, "X", "other")
_STUDENT_INIT = Look("#92979e", "v", "student-init")
_BASELINES = [
    Look("#cf8500", "s", "baseline-1"),
    Look("#a64ff0", "^", "baseline-2"),
    Look("#5a1a12", "P", "baseline-3"),
]
_SIMPLE = [Look("#0e8bc4", "p", "simple-1"), Look("#886633", "<", "simple-2")]
_ROLES: dict[Role, Look] = {"teacher": TEACHER, "student_init": _STUDENT_INIT, "main": MAIN, "constant": OTHER}

CSS_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    PAPER: "--card",
    ERROR: "--error",
    **{look.colour: f"--{look.mark}" for look in (TEACHER, MAIN, _STUDENT_INIT, *_BASELINES, *_SIMPLE)},
}


def looks(results: Results) -> dict[str, Look]:
    """Return the look of each system, by name; baselines after the first few share one."""
    free = [*_BASELINES, *([] if results.role("student_init") else [_STUDENT_INIT])]
    several: dict[Role, list[Look]] = {"baseline": free, "simple": _SIMPLE}
    found: dict[str, Look] = {}
    for role, known in several.items():
        for place, system in enumerate(results.roles(role)):
            found[system.name] = known[place] if place < len(known) else OTHER
    return {system.name: found.get(system.name) or _ROLES[system.role] for system in results.systems}
