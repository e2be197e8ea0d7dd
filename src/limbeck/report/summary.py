"""The few figures on top of a report: what was kept, what was gained, what it costs now."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.formatting import (
    bytes_text,
    duration_text,
    milliseconds_text,
    p_value_text,
    points_text,
    range_text,
    ratio_text,
    share_text,
)
from limbeck.report.tables import METRIC_TITLES, system_of
from limbeck.results import Comparison, Results, System, beats_most_frequent, teacher_leads

__all__ = ["KeyFigure", "key_figures"]


@dataclass(frozen=True)
class KeyFigure:
    """One large number with what it means."""

    value: str
    title: str
    detail: str


def key_figures(results: Results) -> list[KeyFigure]:
    """Return the figures that this run can give; a figure that lacks a system or labels is left out."""
    teacher, distilled = system_of(results, "teacher"), system_of(results, "distilled")
    figures = [
        _no_better(results, distilled) or _kept(teacher, distilled, system_of(results, "student_before")),
        _gain(results),
        _size(teacher, distilled),
        _speed(teacher, distilled),
    ]
    figures.append(_time(results))
    return [figure for figure in figures if figure]


def _no_better(results: Results, distilled: System | None) -> KeyFigure | None:
    """A student that one label for all rows could stand in for keeps nothing of its teacher."""
    constant = results.most_frequent
    if distilled is None or constant is None or beats_most_frequent(results.comparisons):
        return None
    if not (distilled.accuracy and constant.accuracy):
        return None
    return KeyFigure(
        share_text(distilled.accuracy.value),
        "right; not shown to be better than always the most frequent label",
        f"that label is right on {share_text(constant.accuracy.value)}",
    )


def _kept(teacher: System | None, distilled: System | None, before: System | None) -> KeyFigure | None:
    if distilled is None:
        return None
    if teacher and teacher.accuracy and distilled.accuracy and teacher.accuracy.value > 0:
        kept = distilled.accuracy.value / teacher.accuracy.value
        right, of_teacher = share_text(distilled.accuracy.value), share_text(teacher.accuracy.value)
        if before and before.accuracy and not teacher_leads(teacher, before):
            detail = f"the teacher {of_teacher}, the untrained student {share_text(before.accuracy.value)}"
            return KeyFigure(right, "right; the teacher does not lead the untrained student", detail)
        detail = f"{right} right, the teacher {of_teacher}"
        return KeyFigure(share_text(kept), "of the teacher's accuracy kept", detail)
    if distilled.agreement:
        agreement = share_text(distilled.agreement.value)
        return KeyFigure(agreement, "agreement with the teacher", f"95 % interval {range_text(distilled.agreement)}")
    return None


def _gain(results: Results) -> KeyFigure | None:
    comparison = _against_fine_tuning(results)
    if comparison is None:
        return None
    interval = range_text(comparison.difference, unit="points")
    return KeyFigure(
        points_text(comparison.difference.value),
        f"{METRIC_TITLES[comparison.metric].lower()}, against plain fine-tuning",
        f"95 % interval {interval}, {p_value_text(comparison.bootstrap_p_value)}; not tuned for itself",
    )


def _against_fine_tuning(results: Results) -> Comparison | None:
    fitting = {c.metric: c for c in results.comparisons if (c.first, c.second) == ("distilled", "fine_tuned")}
    return next((fitting[metric] for metric in METRIC_TITLES if metric in fitting), None)


def _size(teacher: System | None, distilled: System | None) -> KeyFigure | None:
    if not (teacher and distilled and teacher.speed and distilled.speed):
        return None
    before, after = teacher.speed.size_bytes, distilled.speed.size_bytes
    if min(before, after) <= 0:
        return None
    detail = f"{bytes_text(after)} on disk, the teacher {bytes_text(before)}"
    return _ratio(before / after, ("smaller", "larger"), detail)


def _speed(teacher: System | None, distilled: System | None) -> KeyFigure | None:
    if not (teacher and distilled and teacher.speed and distilled.speed):
        return None
    before, after = teacher.speed.latency_ms_median, distilled.speed.latency_ms_median
    if min(before, after) <= 0:
        return None
    detail = f"{milliseconds_text(after)} for one row, the teacher {milliseconds_text(before)}"
    return _ratio(before / after, ("faster", "slower"), detail)


def _ratio(ratio: float, words: tuple[str, str], detail: str) -> KeyFigure:
    better, worse = words
    return KeyFigure(ratio_text(max(ratio, 1 / ratio)), better if ratio >= 1 else worse, detail)


def _time(results: Results) -> KeyFigure | None:
    if not results.costs:
        return None
    seeds = len({cost.seed for cost in results.costs})
    runs = f"{len(results.costs)} stages, {seeds} seed{'s' if seeds != 1 else ''}"
    return KeyFigure(duration_text(sum(cost.seconds for cost in results.costs)), "of training in all", runs)
