"""Conditions for a share of the teacher's figure to mean anything: used by verdict, page and card."""

from __future__ import annotations

from limbeck.results.figures import SIGNIFICANT, Comparison
from limbeck.results.record import Results, System

__all__ = ["TEACHER_LEAD", "beats_constant", "no_worse_than_teacher", "teacher_leads", "unbeaten_simple"]

TEACHER_LEAD = 0.02
"""A teacher that leads the untrained student by less teaches little but its errors."""


def beats_constant(results: Results, budget: int | None = None) -> bool:
    """Return whether the main system is significantly better than a constant answer; true if not measured.

    A student that is not has learnt nothing of which a share could be kept.
    """
    main, constant = results.role("main"), results.role("constant")
    if main is None or constant is None:
        return True
    compared = results.comparison(main.name, constant.name, results.headline, budget=budget)
    sign = -1 if results.metric(results.headline).higher_is_better is False else 1
    if compared is not None:
        p_value = compared.p_value()
        return sign * compared.value > 0 and p_value is not None and p_value < SIGNIFICANT
    ours = results.figure(main.name, results.headline, budget=budget)
    its = results.figure(constant.name, results.headline)
    if ours is None or its is None:
        return True
    worst = ours.low if sign > 0 else ours.high
    return sign * ((ours.value if worst is None else worst) - its.value) > 0


def teacher_leads(results: Results) -> bool:
    """Return whether the teacher is clearly better than the untrained student; true if that is unknown.

    A student made of the trained teacher's layers says nothing: what it knows, it has from the teacher.
    """
    teacher, before = results.role("teacher"), results.role("student_init")
    if teacher is None or before is None or before.copied or results.metric(results.headline).unit != "share":
        return True
    its, untrained = (results.figure(system.name, results.headline) for system in (teacher, before))
    return its is None or untrained is None or its.value - untrained.value >= TEACHER_LEAD


def unbeaten_simple(results: Results) -> list[System]:
    """Return the simple baselines that the main system is not shown to beat; the best first, then the simplest.

    Shown means that the tests over rows and, if there is one, over seeds agree.
    """
    main = results.role("main")
    found = [(s, results.comparison(main.name, s.name, results.headline)) for s in results.roles("simple") if main]
    sign = -1 if results.metric(results.headline).higher_is_better is False else 1
    gains = [(simple, sign * compared.value) for simple, compared in found if compared and not _beaten(compared, sign)]
    return [simple for simple, _ in sorted(gains, key=lambda one: one[1])]


def _beaten(compared: Comparison, sign: int) -> bool:
    p_values = [compared.p_value(), compared.p_value("t")]
    return sign * compared.value > 0 and all(p is None or p < SIGNIFICANT for p in p_values)


def no_worse_than_teacher(results: Results) -> list[System]:
    """Return the control and simple baselines whose headline figure is the teacher's or better.

    A share of the figure of such a teacher says little, however large it is.
    """
    teacher = results.role("teacher")
    its = None if teacher is None else results.figure(teacher.name, results.headline)
    if its is None:
        return []
    sign = -1 if results.metric(results.headline).higher_is_better is False else 1
    others = [system for system in results.systems if system.control or system.role == "simple"]
    figures = [(other, results.figure(other.name, results.headline)) for other in others]
    return [other for other, figure in figures if figure is not None and sign * (figure.value - its.value) >= 0]
