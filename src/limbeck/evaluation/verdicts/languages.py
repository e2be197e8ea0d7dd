"""The verdict on a cross-lingual run, at each budget of target labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limbeck.evaluation.verdicts.outcome import outcome, outcome_words, over_seeds, the
from limbeck.formatting import hours_text, p_value_text, points_text, range_text, share_text
from limbeck.results.figures import SIGNIFICANT, Comparison
from limbeck.results.record import Results, System
from limbeck.results.sections import Languages, SystemCost, SystemCosts
from limbeck.results.worth import beats_constant

__all__ = ["language_verdict"]

_FURTHEST_BEHIND = 3


def language_verdict(results: Results) -> list[str]:
    """Return sentences on the main system against each system, its weakest languages, and its cost."""
    main, teacher, languages = results.role("main"), results.role("teacher"), results.section(Languages)
    assert languages is not None
    if main is None:
        return []
    budgets = [n for n in results.budgets() if results.figure(main.name, results.headline, budget=n)]
    compared = [c for c in results.comparisons if c.first == main.name and c.metric == results.headline]
    wholes = [c for c in compared if not c.slice]
    sentences = [_against(results, languages, whole) for whole in wholes]
    sentences += [_due_to_distillation(results, budget, wholes) for budget in budgets]
    for budget in budgets if teacher is not None else []:
        sentences += _worth(results, languages, main, budget)
    if (constant := results.role("constant")) and (figure := results.figure(constant.name, results.headline)):
        sentences.append(f"Always the most frequent answer is right on {share_text(figure.value)} on average.")
    if wholes and not any(c.p_value("holm") is not None for c in compared if c.slice.keys() == {"lang"}):
        sentences.append("No language can be tested on its own: that takes three seeds that differ.")
    return sentences + _costs(results, main)


def _against(results: Results, languages: Languages, whole: Comparison) -> str:
    metric = results.metric(whole.metric)
    ours, other = the(results.title(whole.first)), the(results.title(whole.second))
    said = outcome_words(outcome(whole, metric, needs_seeds=True), ours, other)
    single = [c for c in results.comparisons if (c.first, c.second, c.metric, c.budget)
              == (whole.first, whole.second, whole.metric, whole.budget) and c.slice.keys() == {"lang"}]  # fmt: skip
    targets = [c for c in single if c.slice["lang"] in languages.targets]
    p_value = over_seeds(whole)
    over_cells = (
        "no test over languages and seeds is possible"
        if p_value is None
        else f"{p_value_text(p_value)} over languages and seeds after Holm's correction"
    )
    return (
        f"{_labels(whole.budget).capitalize()}, {said}: {points_text(whole.value)} of accuracy on "
        f"average over {_count(len(targets))} (95 % interval {range_text(whole.interval, unit='points')}; "
        f"{over_cells}, {p_value_text(whole.p_value())} over test records). {_by_language(targets, languages)}"
    ).rstrip()


def _by_language(targets: Sequence[Comparison], languages: Languages) -> str:
    tested = [(c, p) for c in targets if (p := c.p_value("holm")) is not None]
    if not tested:
        return ""

    def listed(counts: Callable[[Comparison], bool]) -> str:
        found = [languages.names[c.slice["lang"]] for c, p in tested if p < SIGNIFICANT and counts(c)]
        return f"{len(found)} ({', '.join(found)})" if found else "none"

    better, worse = listed(lambda c: c.value > 0), listed(lambda c: c.value < 0)
    return f"Of {_count(len(tested))} tested one by one, it is significantly better in {better} and worse in {worse}."


def _due_to_distillation(results: Results, budget: int, wholes: Sequence[Comparison]) -> str:
    """Say whether the control without distillation is beaten: only then has distillation helped."""
    controls = {system.name for system in results.systems if system.control}
    if budget == 0:
        # Without labels to fine-tune on, the control is the teacher itself.
        controls |= {system.name for system in results.roles("teacher")}
    found = next((c for c in wholes if c.second in controls and c.budget == budget), None)
    labels = _labels(budget).capitalize()
    if found is None:
        return (
            f"{labels}, no system was trained in the same way without distillation, so no gain can be attributed "
            "to it."
        )
    control = f"{the(results.title(found.second))}, the control without it,"
    if outcome(found, results.metric(found.metric), needs_seeds=True) == "better":
        return f"{labels}, distillation itself helped: {control} is beaten."
    return f"{labels}, nothing here shows that distillation itself helped: {control} is not beaten."


def _worth(results: Results, languages: Languages, main: System, budget: int) -> list[str]:
    if beats_constant(results, budget):
        return _left_behind(results, languages, main, budget)
    macro = results.figure(main.name, results.headline, budget=budget)
    constant = results.role("constant")
    its = results.figure(constant.name, results.headline) if constant else None
    assert macro is not None
    assert its is not None
    return [
        f"{_labels(budget).capitalize()}, {the(main.title)} is not shown to be better than always the most frequent "
        f"answer: it is right on {share_text(macro.value)} on average (95 % interval {range_text(macro.interval)}), "
        f"that answer on {share_text(its.value)}."
    ]


def _left_behind(results: Results, languages: Languages, main: System, budget: int) -> list[str]:
    """List the target languages that keep least of the teacher's source-language accuracy, on the same tasks."""
    kept = {lang: share for lang in languages.targets if (share := _kept(results, languages, main, budget, lang))}
    teacher = results.role("teacher")
    if not kept or teacher is None:
        return []
    lowest = sorted(kept, key=lambda lang: kept[lang])[:_FURTHEST_BEHIND]
    listed = ", ".join(f"{languages.names[lang]} ({share_text(kept[lang])})" for lang in lowest)
    mean = share_text(sum(kept.values()) / len(kept))
    return [
        f"{_labels(budget).capitalize()}, {the(main.title)} keeps {mean} of the accuracy that {the(teacher.title)} "
        f"has in {languages.names[languages.source]}, on average over {_count(len(kept))}; furthest behind: {listed}."
    ]


def _kept(results: Results, languages: Languages, main: System, budget: int, lang: str) -> float | None:
    """Return accuracy in a language over the teacher's in the source language, on the tasks that both have."""
    teacher = results.role("teacher")
    ours, its = 0.0, 0.0
    for task in languages.tasks:
        here = results.figure(main.name, results.headline, slice={"lang": lang, "task": task}, budget=budget)
        at_home = teacher and results.figure(
            teacher.name, results.headline, slice={"lang": languages.source, "task": task}, budget=0
        )
        if here and at_home:
            ours, its = ours + here.value, its + at_home.value
    return ours / its if its else None


def _costs(results: Results, main: System) -> list[str]:
    costs = results.section(SystemCosts)
    return [_took(results, cost, costs.systems) for cost in costs.systems if cost.system == main.name] if costs else []


def _took(results: Results, ours: SystemCost, costs: Sequence[SystemCost]) -> str:
    others = [
        f"{share_text(abs(cost.saving))} {'less' if cost.saving >= 0 else 'more'} than "
        f"{the(results.title(cost.system))} ({hours_text(cost.device_hours)})"
        for cost in costs
        if cost.budget == ours.budget and cost.saving is not None
    ]
    teacher = results.role("teacher")
    return (
        f"{_labels(ours.budget).capitalize()}, {the(results.title(ours.system))} took {hours_text(ours.device_hours)} "
        f"on a device, {hours_text(ours.teacher_hours)} of it for {the(teacher.title) if teacher else 'the teacher'}"
        + (f": {', '.join(others)}." if others else ".")
    )


def _labels(budget: int | None) -> str:
    if not budget:
        return "without target-language labels"
    return f"with {budget:,} label{'' if budget == 1 else 's'} for each task and target language"


def _count(languages: int) -> str:
    return f"{languages} language{'' if languages == 1 else 's'}"
