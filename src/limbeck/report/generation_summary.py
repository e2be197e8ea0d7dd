"""The few figures on top of the report of a generating student: what was kept, what was gained, what it costs."""

from __future__ import annotations

from limbeck.formatting import (
    bytes_text,
    duration_text,
    p_value_text,
    perplexity_text,
    range_text,
    rate_text,
    ratio_text,
    share_text,
)
from limbeck.generation_results import GenerationFigures, GenerationResults, GenerationSystem, beats_one_answer
from limbeck.report.generation_tables import (
    METRIC_TITLES,
    difference_range,
    difference_text,
    generation_system,
)
from limbeck.report.summary import KeyFigure

__all__ = ["generation_key_figures"]


def generation_key_figures(results: GenerationResults) -> list[KeyFigure]:
    """Return the figures that this run can give; a figure that lacks a system or a measurement is left out."""
    figures = results.figures
    teacher, distilled = (generation_system(figures, name) for name in ("teacher", "distilled"))
    found = [
        _no_better(figures, distilled) or _kept(figures) or _perplexity(teacher, distilled),
        _gain(figures),
        _size(teacher, distilled),
        _speed(teacher, distilled),
        _time(results),
    ]
    return [figure for figure in found if figure]


def _no_better(figures: GenerationFigures, distilled: GenerationSystem | None) -> KeyFigure | None:
    """A student that one answer to every prompt could stand in for keeps nothing of its teacher."""
    if distilled is None or figures.one_answer is None or beats_one_answer(figures):
        return None
    own, its = (getattr(one, figures.headline, None) for one in (distilled, figures.one_answer))
    if own is None or its is None:
        return None
    title = f"{_in_sentence(METRIC_TITLES[figures.headline])}; not shown to be better than one answer to every prompt"
    return KeyFigure(share_text(own.value), title, f"that answer has {share_text(its.value)}")


def _kept(figures: GenerationFigures) -> KeyFigure | None:
    wanted = ("distilled", figures.headline)
    interval = next((r.kept for r in figures.retention if (r.system, r.metric) == wanted), None)
    if interval is None:
        return None
    title = f"of the teacher's {_in_sentence(METRIC_TITLES[figures.headline])} kept"
    return KeyFigure(share_text(interval.value), title, f"95 % interval {range_text(interval)}")


def _gain(figures: GenerationFigures) -> KeyFigure | None:
    wanted = ("distilled", "fine_tuned", figures.headline)
    comparison = next((c for c in figures.comparisons if (c.first, c.second, c.metric) == wanted), None)
    if comparison is None:
        return None
    return KeyFigure(
        difference_text(comparison.metric, comparison.difference.value),
        f"{_in_sentence(METRIC_TITLES[comparison.metric])}, against plain fine-tuning on the same budget",
        f"95 % interval {difference_range(comparison)}, {p_value_text(comparison.bootstrap_p_value)}; "
        "not tuned for itself",
    )


def _perplexity(teacher: GenerationSystem | None, distilled: GenerationSystem | None) -> KeyFigure | None:
    if not (distilled and distilled.perplexity):
        return None
    its = f"the teacher's {perplexity_text(teacher.perplexity.value)}" if teacher and teacher.perplexity else ""
    return KeyFigure(perplexity_text(distilled.perplexity.value), "perplexity of the held-out references", its)


def _size(teacher: GenerationSystem | None, distilled: GenerationSystem | None) -> KeyFigure | None:
    if not (teacher and distilled and teacher.speed.size_bytes > 0 and distilled.speed.size_bytes > 0):
        return None
    before, after = teacher.speed.size_bytes, distilled.speed.size_bytes
    return _ratio(before / after, ("smaller", "larger"), f"{bytes_text(after)}, the teacher {bytes_text(before)}")


def _speed(teacher: GenerationSystem | None, distilled: GenerationSystem | None) -> KeyFigure | None:
    before = teacher.speed.tokens_per_second if teacher else None
    after = distilled.speed.tokens_per_second if distilled else None
    if not before or not after:
        return None
    detail = f"{rate_text(after)} tokens, the teacher {rate_text(before)}"
    return _ratio(after / before, ("faster", "slower"), detail)


def _ratio(ratio: float, words: tuple[str, str], detail: str) -> KeyFigure:
    better, worse = words
    return KeyFigure(ratio_text(max(ratio, 1 / ratio)), better if ratio >= 1 else worse, detail)


def _time(results: GenerationResults) -> KeyFigure | None:
    if not results.costs:
        return None
    seeds = len({cost.seed for cost in results.costs})
    runs = f"{len(results.costs)} stages, {seeds} seed{'s' if seeds != 1 else ''}"
    return KeyFigure(duration_text(sum(cost.seconds for cost in results.costs)), "of training in all", runs)


def _in_sentence(title: str) -> str:
    return title if title.isupper() or title.startswith(("ROUGE", "KL")) else title[0].lower() + title[1:]
