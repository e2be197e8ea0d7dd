"""The verdict on a run of any kind: what was kept of the teacher, the gain over training without it, the cost."""

from __future__ import annotations

from limbeck.evaluation.verdicts.languages import language_verdict
from limbeck.evaluation.verdicts.outcome import difference_words, in_prose, outcome, outcome_words, the
from limbeck.formatting import (
    count_text,
    duration_text,
    figure_text,
    milliseconds_text,
    parameters_text,
    range_text,
    rate_text,
    share_text,
    shorten,
    times_text,
)
from limbeck.results.figures import Comparison, Figure, Metric
from limbeck.results.record import Results, System
from limbeck.results.sections import Languages, Retention, Search, SimpleBaselines, Speed
from limbeck.results.worth import (
    TEACHER_LEAD,
    beats_constant,
    no_worse_than_teacher,
    teacher_leads,
    unbeaten_simple,
)

__all__ = ["verdict"]

_MORE_TROUBLE = 0.05
"""A share of cut-off, empty or repetitive answers this much above the teacher's is reported."""
_ENOUGH_SEEDS = 3


def verdict(results: Results) -> list[str]:
    """Return sentences on the main system; those that make others meaningless come first.

    If the student does not beat a constant answer or a simple baseline, or the teacher does not lead the untrained
    student, the control or a simple baseline, this replaces what was kept: a share of the teacher's figure would mean
    nothing.
    """
    if results.section(Languages) is not None:
        return language_verdict(results)
    main = results.role("main")
    if main is None:
        return []
    teacher = results.role("teacher")
    sentences = _worth(results, main, teacher) or _kept(results, main, teacher)
    sentences += _perplexity(results, main, teacher)
    sentences += _against_simple(results, main) + _against_others(results, main)
    if teacher is not None:
        sentences += _against_given_labels(results, main, teacher) + _trouble(results, main, teacher)
    return sentences + _size_and_speed(results, main, teacher) + _took(results, main) + _seeds(results)


def _headline(results: Results, system: System | None) -> Figure | None:
    return None if system is None else results.figure(system.name, results.headline)


def _text(results: Results, figure: Figure | None) -> str:
    return figure_text(figure.value if figure else None, results.metric(results.headline).unit)


def _worth(results: Results, main: System, teacher: System | None) -> list[str]:
    """Return what to report if the student or its teacher is no better than without learning."""
    metric, constant = results.metric(results.headline), results.role("constant")
    name, its = in_prose(metric.title), _headline(results, teacher)
    ours = _text(results, _headline(results, main))
    sentences = []
    if constant is not None and not beats_constant(results):
        of_teacher = f", the teacher's {_text(results, its)}" if its else ""
        sentences.append(
            f"The student is not shown to be better than {_constant(constant)}: its {name} is {ours}, that of one "
            f"answer {_text(results, _headline(results, constant))}{of_teacher}."
        )
    if unbeaten := unbeaten_simple(results):
        sentences.append(_simple_will_do(results, main, unbeaten))
    if not teacher_leads(results):
        untrained = _text(results, _headline(results, results.role("student_init")))
        sentences.append(
            f"The teacher does not lead: its {name} is {_text(results, its)}, the untrained student's {untrained}. A "
            f"teacher that does not lead by {TEACHER_LEAD * 100:.0f} points teaches its errors too. The student's is "
            f"{ours}."
        )
    if others := no_worse_than_teacher(results):
        named = [f"{_inside(one.title)} ({_text(results, _headline(results, one))})" for one in others]
        sentences.append(
            f"The teacher is no better than {' or '.join(named)}: its {name} is {_text(results, its)}. Such a teacher "
            f"has little to teach; the student's is {ours}."
        )
    return sentences


def _simple_will_do(results: Results, main: System, unbeaten: list[System]) -> str:
    """Say that the best simple baseline is as good as the student, or may be, and at what price."""
    simple, *others = unbeaten
    metric, compared = results.metric(results.headline), results.comparison(main.name, simple.name, results.headline)
    assert compared is not None, "see unbeaten_simple"
    name, ours, its = in_prose(metric.title), _headline(results, main), _headline(results, simple)
    behind = (compared.value <= 0) != (metric.higher_is_better is False)
    if outcome(compared, metric) == "worse" or behind:
        is_good = "better" if outcome(compared, metric) == "worse" else "as good"
        begins = f"{simple.title} is {is_good}: use that. Its {name} is {_text(results, its)}, the student's"
    else:
        begins = f"The student is not shown to be better than {_inside(simple.title)}, whose {name} is "
        begins += f"{_text(results, its)}; the student's is"
    sentence = f"{begins} {_text(results, ours)}: {difference_words(compared, metric)}.{_price(results, simple)}"
    if simple.layers and main.layers and simple.layers > main.layers and not others:
        sentence += (
            f" It needs an encoder of {simple.layers} layers, the student {main.layers}: where size or speed matters, "
            "the student may be worth more."
        )
    return sentence


def _price(results: Results, simple: System) -> str:
    section = results.section(SimpleBaselines)
    for fit in section.fits if section else []:
        if fit.system == simple.name:
            learned = "gold labels" if fit.labels == "gold" else "labels of the teacher"
            return f" It learned {count_text(fit.rows)} {learned} in {duration_text(fit.cpu_seconds)} of CPU time."
    return ""


def _inside(title: str) -> str:
    """Write the title of a system, simple ones too, inside a sentence."""
    return the(title) if the(title) != title else in_prose(title)


def _constant(constant: System) -> str:
    return f"always giving one answer ({shorten(constant.detail, 80)})"


def _kept(results: Results, main: System, teacher: System | None) -> list[str]:
    """Report the student's figure as a share of its teacher's, and the figure of a constant answer."""
    metric, constant = results.metric(results.headline), _headline(results, results.role("constant"))
    ours, its = _headline(results, main), _headline(results, teacher)
    if ours is None:
        return ["The held-out rows have no labels, gold or the teacher's, so nothing can be said about the student."]
    if metric.key == "agreement":
        return [
            "The held-out rows have no labels, so only fidelity can be measured: the student's agreement with the "
            f"teacher is {_text(results, ours)}."
        ]
    sentences = [_share_kept(results, main, metric, ours, its)]
    if constant is not None:
        sentences.append(f"Always giving one answer would reach {_text(results, constant)} {in_prose(metric.title)}.")
    return sentences


def _share_kept(results: Results, main: System, metric: Metric, ours: Figure, its: Figure | None) -> str:
    name = in_prose(metric.title)
    if its is None:
        return f"The student's {name} is {_text(results, ours)}; the teacher's on the same rows is not known."
    retention = results.section(Retention)
    kept = {k.metric: k.kept for k in retention.kept if k.system == main.name} if retention else {}
    both = f"{_text(results, ours)} against {_text(results, its)}"
    if metric.key in kept:
        share = kept[metric.key]
        interval = f"95 % interval {range_text(share)}"
        return f"The student keeps {share_text(share.value)} ({interval}) of the teacher's {name} ({both})."
    return f"The student's {name} is {_text(results, ours)}, the teacher's {_text(results, its)}."


def _perplexity(results: Results, main: System, teacher: System | None) -> list[str]:
    ours = results.figure(main.name, "perplexity")
    its = results.figure(teacher.name, "perplexity") if teacher is not None else None
    if ours is None or its is None or teacher is None:
        return []
    comparable = results.comparison(main.name, teacher.name, "nll") is not None
    aside = "" if comparable else " (over different tokens: not comparable)"
    return [
        f"On the held-out references the student's perplexity is {figure_text(ours.value, 'perplexity')}, the "
        f"teacher's {figure_text(its.value, 'perplexity')}{aside}."
    ]


def _against_simple(results: Results, main: System) -> list[str]:
    """Compare with the simple baselines; the best of those that will do instead was named before."""
    named, sentences = unbeaten_simple(results)[:1], []
    for simple in results.roles("simple"):
        compared = results.comparison(main.name, simple.name, results.headline)
        if compared is None or simple in named:
            continue
        metric = results.metric(compared.metric)
        said = outcome_words(outcome(compared, metric), the(main.title), _inside(simple.title))
        sentences.append(f"{said[:1].upper()}{said[1:]}: {difference_words(compared, metric)}.")
    return sentences


def _against_others(results: Results, main: System) -> list[str]:
    """Compare with every baseline by the headline; with the control, which had no teacher, also by loss and KL."""
    sentences = []
    for other in results.roles("baseline"):
        compared = results.comparison(main.name, other.name, results.headline)
        if compared is None:
            continue
        sentences.append(_won(results, compared))
        if other.control:
            sentences += _not_tuned(results, other)
            further = [results.comparison(main.name, other.name, key) for key in ("nll", "kl")]
            sentences += [_won(results, one) for one in further if one and one.metric != results.headline]
    if not any(other.control for other in results.roles("baseline")):
        sentences.append(
            "No student was trained without the teacher on the same budget, so no gain can be attributed to it."
        )
    return sentences


def _won(results: Results, compared: Comparison) -> str:
    metric = results.metric(compared.metric)
    ours, other = the(results.title(compared.first)), the(results.title(compared.second))
    said = outcome_words(outcome(compared, metric), ours, other)
    return f"{said[:1].upper()}{said[1:]} on the same budget: {difference_words(compared, metric)}."


def _not_tuned(results: Results, control: System) -> list[str]:
    """Say why the control may be weaker than it could be; nothing if every system was tuned."""
    if results.section(Search) is not None:
        return []
    seen = next((cost.rows_seen for cost in results.costs if cost.system == control.name), None)
    labelled = results.run.rows.get("labelled")
    read = ""
    if seen is not None and labelled:
        passes = seen / labelled
        number = f"{passes:.{1 if passes < 9.95 else 0}f}".removesuffix(".0")
        read = f" ({number} pass{'' if number == '1' else 'es'} over the labelled rows)"
    return [
        f"That student used the learning rate and number of steps of the distilled one{read}; it was not tuned "
        "separately."
    ]


def _against_given_labels(results: Results, main: System, teacher: System) -> list[str]:
    """Say whether the student is better than the labels it was trained on, for a black-box teacher."""
    compared = results.comparison(main.name, teacher.name, results.headline)
    if compared is None or results.speed(teacher.name) is not None or results.speed(main.name) is None:
        return []
    metric = results.metric(compared.metric)
    said = outcome_words(outcome(compared, metric), "the student", "the teacher's own labels")
    return [f"Against the gold labels, {said}: {difference_words(compared, metric)}."]


def _trouble(results: Results, main: System, teacher: System) -> list[str]:
    """Report faults that the student's answers have more often than the teacher's."""
    sentences = []
    for metric in results.metrics:
        if metric.table != "answers" or metric.higher_is_better is not False:
            continue
        ours, its = (results.figure(system.name, metric.key) for system in (main, teacher))
        if ours and its and ours.value - its.value >= _MORE_TROUBLE:
            sentences.append(
                f"Trouble with its answers: {in_prose(metric.title)} {share_text(ours.value)}, the teacher's "
                f"{share_text(its.value)}."
            )
    return sentences


def _size_and_speed(results: Results, main: System, teacher: System | None) -> list[str]:
    speed = results.speed(main.name)
    of_teacher = results.speed(teacher.name) if teacher is not None else None
    if speed is None:
        return []
    if of_teacher is None:
        return [f"The student has {parameters_text(speed.parameters)} parameters{_pace(speed)}."]
    size = share_text(speed.parameters / of_teacher.parameters, digits=0)
    return [f"The student has {size} of the teacher's parameters{_pace(speed, of_teacher)}."]


def _pace(speed: Speed, of_teacher: Speed | None = None) -> str:
    parts = []
    if speed.latency_ms_median is not None:
        its = of_teacher.latency_ms_median if of_teacher else None
        instead = "" if its is None else f" instead of {milliseconds_text(its)}"
        parts.append(f"answers one text in {milliseconds_text(speed.latency_ms_median)}{instead}")
    for verb, what, own, its in (
        ("processes", "rows", speed.throughput_rows_per_second,
         of_teacher.throughput_rows_per_second if of_teacher else None),
        ("writes", "tokens", speed.tokens_per_second, of_teacher.tokens_per_second if of_teacher else None),
    ):  # fmt: skip
        if own and its:
            parts.append(f"{verb} {times_text(own / its)} as many {what} per second")
        elif own:
            parts.append(f"{verb} {rate_text(own).removesuffix(' /s')} {what} per second")
    return "".join(f"{', and ' if part is parts[-1] else ', '}{part}" for part in parts)


def _took(results: Results, main: System) -> list[str]:
    def seconds(system: System) -> float | None:
        stages = [cost for cost in results.costs if cost.system == system.name]
        return sum(cost.seconds for cost in stages) / len({cost.seed for cost in stages}) if stages else None

    distilling = seconds(main)
    if not distilling:
        return []
    control = next((other for other in results.roles("baseline") if other.control and seconds(other)), None)
    beside = f", {times_text(distilling / (seconds(control) or 1))} as long as {the(control.title)}" if control else ""
    return [f"Distilling took {duration_text(distilling)} per seed{beside}."]


def _seeds(results: Results) -> list[str]:
    seeds = len(results.run.seeds)
    if seeds >= _ENOUGH_SEEDS:
        return []
    number = "One training seed" if seeds == 1 else "Two training seeds"
    return [
        f"{number}: the intervals are over held-out rows. They do not cover the variation between seeds; that "
        "takes three or more seeds (seeds: [0, 1, 2])."
    ]
