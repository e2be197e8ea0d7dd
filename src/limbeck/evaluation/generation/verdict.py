"""What the figures of a generating student say, in plain sentences.

A difference is called settled only if its interval over held-out rows leaves out 0 and, with three seeds or more,
the t-test over seeds agrees. With fewer seeds the last sentence says what is not covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from limbeck.evaluation.verdict import SIGNIFICANT, not_tuned
from limbeck.formatting import (
    duration_text,
    p_value_text,
    points_text,
    range_text,
    share_text,
    shorten,
    signed_text,
    times_text,
)
from limbeck.generation_results import (
    LOWER_IS_BETTER,
    GenerationComparison,
    GenerationFigures,
    GenerationMetric,
    GenerationSystem,
    OneAnswer,
    beats_one_answer,
)
from limbeck.results import Interval, StageCost

__all__ = ["Outcome", "generation_verdict", "outcome"]

Outcome = Literal["better", "worse", "rows", "seeds"]
"""Settled either way, or not: because of the rows, or because of the seeds alone."""

_NAMES: dict[GenerationMetric, str] = {
    "nll_nats": "loss on the references",
    "kl_to_teacher_nats": "KL to the teacher",
    "agreement": "agreement with the teacher",
    "rouge_l": "ROUGE-L",
    "exact_match": "exact matches",
    "numeric_match": "right numbers",
}
_MORE_TROUBLE = 0.05
"""A share of cut off, empty or repetitive text this much above the teacher's is named."""


def outcome(comparison: GenerationComparison) -> Outcome:
    """Return whether the first system is better or worse than the second, or what leaves it open."""
    difference = comparison.difference
    if difference.low <= 0 <= difference.high:
        return "rows"
    if comparison.t_test_p_value is not None and comparison.t_test_p_value >= SIGNIFICANT:
        return "seeds"
    return "better" if (difference.value > 0) != (comparison.metric in LOWER_IS_BETTER) else "worse"


def generation_verdict(figures: GenerationFigures, costs: Sequence[StageCost]) -> list[str]:
    """Return sentences on what was kept, whether distilling beat plain fine-tuning, the texts, and the costs.

    Args:
        figures: of all systems; ``distilled`` must be there.
        costs: of all stages of all seeds.
    """
    systems = {str(system.name): system for system in figures.systems}
    student, teacher = systems["distilled"], systems.get("teacher")
    sentences = []
    if teacher:
        sentences += _kept(figures, student, teacher)
    sentences += _against_fine_tuning(figures, student, systems.get("fine_tuned"))
    if teacher:
        sentences += _trouble(student, teacher)
        sentences.append(_runs(student, teacher))
    sentences += _took(costs)
    return sentences + _seeds(student)


def _kept(figures: GenerationFigures, student: GenerationSystem, teacher: GenerationSystem) -> list[str]:
    sentences = []
    kept = {r.metric: r.kept for r in figures.retention if r.system == "distilled"}
    metric = figures.headline
    if metric in ("rouge_l", "exact_match", "numeric_match"):
        own, its = getattr(student, metric), getattr(teacher, metric)
        constant = figures.one_answer
        if constant is not None and not beats_one_answer(figures):
            sentences.append(_no_better(metric, own, its, constant))
        elif metric in kept:
            sentences.append(
                f"The student keeps {_share(kept[metric])} of the teacher's {_NAMES[metric]} "
                f"({share_text(own.value)} against {share_text(its.value)})."
            )
        elif its is not None:
            sentences.append(
                f"What is kept of the teacher's {_NAMES[metric]} cannot be said: it has {share_text(its.value)}, "
                f"the student {share_text(own.value)}."
            )
        if constant is not None and beats_one_answer(figures):
            sentences.append(
                f"Always answering '{shorten(constant.answer, 60)}' has {share_text(getattr(constant, metric).value)}."
            )
    if student.perplexity and teacher.perplexity:
        aside = "" if "perplexity" in kept else " (of other tokens: not comparable)"
        sentences.append(
            f"On the held-out references the student's perplexity is {_number(student.perplexity)}, the teacher's "
            f"{_number(teacher.perplexity)}{aside}."
        )
    return sentences


def _no_better(metric: GenerationMetric, own: Interval, its: Interval | None, constant: OneAnswer) -> str:
    of_teacher = "" if its is None else f", the teacher {share_text(its.value)}"
    return (
        f"The student is not shown to be better than always answering '{shorten(constant.answer, 60)}': it has "
        f"{share_text(own.value)} of {_NAMES[metric]}, that answer {share_text(getattr(constant, metric).value)}"
        f"{of_teacher}."
    )


def _against_fine_tuning(
    figures: GenerationFigures, student: GenerationSystem, fine_tuned: GenerationSystem | None
) -> list[str]:
    found = {c.metric: c for c in figures.comparisons if (c.first, c.second) == ("distilled", "fine_tuned")}
    if not fine_tuned or not found:
        return ["There is no student fine-tuned on the same budget, so no gain can be put down to distilling."]
    sentences = [_won(found[figures.headline]), not_tuned()] if figures.headline in found else []
    if figures.headline != "nll_nats" and "nll_nats" in found and student.perplexity and fine_tuned.perplexity:
        sentences.append(
            f"By perplexity ({_number(student.perplexity)} against {_number(fine_tuned.perplexity)}): "
            + _lower_first(_won(found["nll_nats"]))
        )
    if "kl_to_teacher_nats" in found:
        sentences.append(_closer(found["kl_to_teacher_nats"]))
    return sentences


def _won(comparison: GenerationComparison) -> str:
    said = {
        "better": "Distilling beat plain fine-tuning on the same budget",
        "worse": "Distilling was worse than plain fine-tuning on the same budget",
        "rows": "It is not settled whether distilling beats plain fine-tuning on the same budget",
        "seeds": "It is not settled whether distilling beats plain fine-tuning on the same budget",
    }[outcome(comparison)]
    return f"{said}: {_difference(comparison)}."


def _closer(comparison: GenerationComparison) -> str:
    said = {
        "better": "The distilled student is closer to its teacher than the fine-tuned one",
        "worse": "The distilled student is further from its teacher than the fine-tuned one",
        "rows": "It is not settled which of both students is closer to the teacher",
        "seeds": "It is not settled which of both students is closer to the teacher",
    }[outcome(comparison)]
    return f"{said}: {_difference(comparison)}."


def _difference(comparison: GenerationComparison) -> str:
    d, name = comparison.difference, _NAMES[comparison.metric]
    if comparison.metric in LOWER_IS_BETTER:
        size = f"{signed_text(d.value)} nats per token of {name}"
        bounds = f"{signed_text(d.low)} to {signed_text(d.high)}"
    else:
        size = f"{points_text(d.value)} of {name}"
        bounds = range_text(d, unit="points")
    found = outcome(comparison)
    details = [f"95 % interval {bounds}", *(["which holds 0"] if found == "rows" else [])]
    details.append(f"{p_value_text(comparison.bootstrap_p_value)} over rows")
    if comparison.t_test_p_value is not None and found != "rows":
        over_seeds = f"{p_value_text(comparison.t_test_p_value)} over {len(comparison.per_seed_difference)} seeds"
        details.append(f"but {over_seeds}" if found == "seeds" else over_seeds)
    return f"{size} ({', '.join(details)})"


def _trouble(student: GenerationSystem, teacher: GenerationSystem) -> list[str]:
    if not (student.written and teacher.written):
        return []
    own, its = student.written, teacher.written
    pairs: list[tuple[str, Interval | None, Interval | None]] = [
        ("Its answers were cut off by the limit of tokens", own.cut_off, its.cut_off),
        ("Its answers are empty", own.empty, its.empty),
        ("Its answers repeat themselves (4-grams of words)", own.repeated_4_grams, its.repeated_4_grams),
    ]
    return [
        f"{words}: {share_text(a.value)}, the teacher's {share_text(b.value)}."
        for words, a, b in pairs
        if a and b and a.value - b.value >= _MORE_TROUBLE
    ]


def _runs(student: GenerationSystem, teacher: GenerationSystem) -> str:
    size = share_text(student.speed.parameters / teacher.speed.parameters, digits=0)
    said = f"The student has {size} of the teacher's parameters"
    own, its = student.speed.tokens_per_second, teacher.speed.tokens_per_second
    if own and its:
        return f"{said} and writes {times_text(own / its)} as many tokens per second."
    return f"{said}; its speed was not measured."


def _took(costs: Sequence[StageCost]) -> list[str]:
    def seconds(system: str) -> float | None:
        stages = [cost for cost in costs if cost.system == system]
        return sum(cost.seconds for cost in stages) / len({cost.seed for cost in stages}) if stages else None

    distilling, fine_tuning = seconds("distilled"), seconds("fine_tuned")
    if not distilling:
        return []
    said = f"Distilling took {_minutes(distilling)} for each seed"
    if fine_tuning:
        return [f"{said}, {times_text(distilling / fine_tuning)} as long as fine-tuning on the same budget."]
    return [f"{said}."]


def _seeds(student: GenerationSystem) -> list[str]:
    seeds = len(student.seeds)
    if seeds >= 3:
        return []
    number = "One training seed" if seeds == 1 else "Two training seeds"
    return [
        f"{number}: the intervals are over held-out rows. What another seed would have given is not covered; that "
        "takes three seeds or more."
    ]


def _share(interval: Interval) -> str:
    return f"{share_text(interval.value)} (95 % interval {range_text(interval)})"


def _number(interval: Interval) -> str:
    return f"{interval.value:.3g}" if interval.value < 1000 else f"{interval.value:,.0f}"


def _minutes(seconds: float) -> str:
    if seconds < 9.95:
        return duration_text(seconds)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _lower_first(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
