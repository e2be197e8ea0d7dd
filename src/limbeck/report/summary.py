"""The few figures on top of a report: what was kept, what was gained, what it costs."""

from __future__ import annotations

from limbeck.formatting import (
    bytes_text,
    duration_text,
    milliseconds_text,
    p_value_text,
    rate_text,
    ratio_text,
    share_text,
)
from limbeck.report.block import KeyFigure
from limbeck.report.lookup import headline_metric, main_figure
from limbeck.report.values import difference_range, difference_text, in_sentence, range_words, value_text
from limbeck.results.figures import Comparison, Metric
from limbeck.results.record import Results
from limbeck.results.sections import Retention, Search, Speed
from limbeck.results.worth import beats_constant, no_worse_than_teacher, teacher_leads, unbeaten_simple

__all__ = ["key_figures"]


def key_figures(results: Results) -> list[KeyFigure]:
    """Return the figures of this run; those that lack a system or a measurement are left out."""
    found = [
        _no_better(results)
        or _matched(results)
        or _untaught(results)
        or _overtaken(results)
        or _kept(results)
        or _value(results),
        _over_simple(results),
        _gain(results),
        *_sizes(results),
        _time(results),
    ]
    return [figure for figure in found if figure]


def _no_better(results: Results) -> KeyFigure | None:
    """Say so if the student is no better than a constant: then it keeps nothing of its teacher."""
    metric, constant = headline_metric(results), results.role("constant")
    ours, its = main_figure(results, results.role("main"), metric), main_figure(results, constant, metric)
    if constant is None or ours is None or its is None or beats_constant(results):
        return None
    title = f"{in_sentence(metric.title)}; not shown to be better than {in_sentence(constant.title)}"
    return KeyFigure(value_text(metric, ours.value), title, f"which has {value_text(metric, its.value)}")


def _untaught(results: Results) -> KeyFigure | None:
    """Say so if the teacher does not lead the untrained student: then its kept share means nothing."""
    metric = headline_metric(results)
    ours, its, before = (
        main_figure(results, results.role(role), metric) for role in ("main", "teacher", "student_init")
    )
    if teacher_leads(results) or ours is None or its is None or before is None:
        return None
    detail = f"the teacher {value_text(metric, its.value)}, the untrained student {value_text(metric, before.value)}"
    title = f"{in_sentence(metric.title)}; the teacher does not lead the untrained student"
    return KeyFigure(value_text(metric, ours.value), title, detail)


def _matched(results: Results) -> KeyFigure | None:
    """Say so if the student is not shown to be better than a simple baseline."""
    metric, simple = headline_metric(results), next(iter(unbeaten_simple(results)), None)
    ours, its = main_figure(results, results.role("main"), metric), main_figure(results, simple, metric)
    if simple is None or ours is None or its is None:
        return None
    title = f"{in_sentence(metric.title)}; not shown to be better than {in_sentence(simple.title)}"
    return KeyFigure(value_text(metric, ours.value), title, f"which has {value_text(metric, its.value)}")


def _overtaken(results: Results) -> KeyFigure | None:
    """Say so if the control or a simple baseline is as good as the teacher: then its kept share says little."""
    metric, others = headline_metric(results), no_worse_than_teacher(results)
    ours, its = (main_figure(results, results.role(role), metric) for role in ("main", "teacher"))
    if not others or ours is None or its is None:
        return None
    figures = [(other, main_figure(results, other, metric)) for other in others]
    named = [f"{in_sentence(other.title)} {value_text(metric, f.value)}" for other, f in figures if f]
    title = f"{in_sentence(metric.title)}; the teacher is no better than what learned without it"
    return KeyFigure(
        value_text(metric, ours.value), title, ", ".join([f"the teacher {value_text(metric, its.value)}", *named])
    )


def _kept(results: Results) -> KeyFigure | None:
    metric, main, teacher = headline_metric(results), results.role("main"), results.role("teacher")
    ours, its = (main_figure(results, system, metric) for system in (main, teacher))
    if main is None or ours is None or its is None:
        return None
    title = f"of the teacher's {in_sentence(metric.title)} kept"
    values = f"{value_text(metric, ours.value)}, the teacher {value_text(metric, its.value)}"
    retention = results.section(Retention)
    for one in retention.kept if retention else []:
        if (one.system, one.metric, one.budget) == (main.name, metric.key, ours.budget) and not one.slice:
            interval = f"{one.kept.low * 100:.1f} to {one.kept.high * 100:.1f} %"
            return KeyFigure(share_text(one.kept.value), title, f"95 % interval {interval}; {values}")
    if metric.unit == "share" and metric.higher_is_better and its.value > 0:
        return KeyFigure(share_text(ours.value / its.value), title, values)
    return None


def _value(results: Results) -> KeyFigure | None:
    metric = headline_metric(results)
    ours, its = (main_figure(results, results.role(role), metric) for role in ("main", "teacher"))
    if ours is None:
        return None
    bounds = range_words(metric, ours.interval)
    details = [f"95 % interval {bounds}"] if bounds else []
    details += [f"the teacher {value_text(metric, its.value)}"] if its else []
    title = in_sentence(metric.title) + (f" {metric.detail}" if metric.detail else "")
    return KeyFigure(value_text(metric, ours.value), title, "; ".join(details))


def _gain(results: Results) -> KeyFigure | None:
    metric, main = headline_metric(results), results.role("main")
    control = next((system for system in results.systems if system.control), None)
    if main is None or control is None:
        return None
    compared = results.comparison(main.name, control.name, metric.key)
    if compared is None:
        return None
    untuned = "" if results.section(Search) else "; not tuned separately"
    return KeyFigure(
        difference_text(metric, compared.value),
        f"{in_sentence(metric.title)}, against training without the teacher",
        _tested(metric, control.title, compared) + untuned,
    )


def _over_simple(results: Results) -> KeyFigure | None:
    """Return the gain over the best simple baseline."""
    metric, main = headline_metric(results), results.role("main")
    compared = [
        found
        for simple in results.roles("simple")
        if main and (found := results.comparison(main.name, simple.name, metric.key))
    ]
    if not compared or _matched(results):  # which says it
        return None
    least = (max if metric.higher_is_better is False else min)(compared, key=lambda one: one.value)
    title = f"{in_sentence(metric.title)}, against the best simple baseline"
    return KeyFigure(difference_text(metric, least.value), title, _tested(metric, results.title(least.second), least))


def _tested(metric: Metric, other: str, compared: Comparison) -> str:
    interval = f"95 % interval {difference_range(metric, compared.interval)}"
    return f"{other}; {interval}, {p_value_text(compared.p_value())}"


def _sizes(results: Results) -> list[KeyFigure | None]:
    speeds = [results.speed(system.name) for role in ("teacher", "main") if (system := results.role(role))]
    if len(speeds) < 2 or speeds[0] is None or speeds[1] is None:
        return []
    return [_size(speeds[0], speeds[1]), _faster(speeds[0], speeds[1])]


def _size(teacher: Speed, main: Speed) -> KeyFigure | None:
    before, after = teacher.size_bytes, main.size_bytes
    if min(before, after) <= 0:
        return None
    words = ("smaller", "larger", "the teacher's size")
    return _ratio(before / after, words, f"{bytes_text(after)}, the teacher {bytes_text(before)}")


def _faster(teacher: Speed, main: Speed) -> KeyFigure | None:
    words = ("faster", "slower", "the teacher's speed")
    if teacher.latency_ms_median and main.latency_ms_median:
        before, after = teacher.latency_ms_median, main.latency_ms_median
        detail = f"{milliseconds_text(after)} for one row, the teacher {milliseconds_text(before)}"
        return _ratio(before / after, words, detail)
    if teacher.tokens_per_second and main.tokens_per_second:
        rates = main.tokens_per_second, teacher.tokens_per_second
        ours, its = (rate_text(rate).removesuffix(" /s") for rate in rates)
        detail = f"{ours} tokens per second, the teacher {its}"
        return _ratio(rates[0] / rates[1], words, detail)
    return None


def _ratio(ratio: float, words: tuple[str, str, str], detail: str) -> KeyFigure:
    better, worse, same = words
    shown = ratio_text(max(ratio, 1 / ratio))
    return KeyFigure(shown, same if shown == ratio_text(1) else better if ratio >= 1 else worse, detail)


def _time(results: Results) -> KeyFigure | None:
    if not results.costs:
        return None
    seeds = len({cost.seed for cost in results.costs})
    stages = f"{len(results.costs)} stages, {seeds} seed{'s' if seeds != 1 else ''}"
    return KeyFigure(duration_text(sum(cost.seconds for cost in results.costs)), "of training in all", stages)
