"""Small records to draw a verdict of: a teacher, a student and a control, each with a figure or two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.results.figures import Comparison, Figure, Metric, Slice, Test
from limbeck.results.record import Results, Role, Run, StageCost, System
from limbeck.results.sections import Section, Speed, Speeds

ACCURACY = Metric(key="accuracy", title="Accuracy", unit="share", higher_is_better=True)
ROUGE_L = Metric(key="rouge_l", title="ROUGE-L", unit="share", higher_is_better=True)
NLL = Metric(key="nll", title="Loss per token", unit="nats", higher_is_better=False)
KL = Metric(key="kl", title="KL", unit="nats", higher_is_better=False)
AGREEMENT = Metric(key="agreement", title="Agreement", unit="share", higher_is_better=True)
PERPLEXITY = Metric(key="perplexity", title="Perplexity", unit="perplexity", higher_is_better=False)
CUT_OFF = Metric(key="cut_off", title="Cut off", unit="share", higher_is_better=False, table="answers")
EMPTY = Metric(key="empty", title="Empty", unit="share", higher_is_better=False, table="answers")
WORDS = Metric(key="words", title="Words", unit="words", higher_is_better=None, table="answers")
METRICS = [ACCURACY, ROUGE_L, NLL, KL, AGREEMENT, PERPLEXITY, CUT_OFF, EMPTY, WORDS]

TITLES: dict[str, tuple[Role, str]] = {
    "teacher": ("teacher", "Teacher"),
    "student_init": ("student_init", "Student before training"),
    "distilled": ("main", "Distilled student"),
    "fine_tune": ("baseline", "Fine-tuned student"),
    "pkd": ("baseline", "PKD"),
    "tfidf": ("simple", "TF-IDF + logistic regression"),
    "frozen_embeddings": ("simple", "Frozen embeddings + logistic regression"),
    "constant": ("constant", "Always the most frequent label"),
}


def figure(system: str, value: float, metric: str = "accuracy", **more: Any) -> Figure:
    return Figure(system=system, metric=metric, value=value, low=value - 0.01, high=value + 0.01, **more)


def comparison(
    second: str,
    value: float,
    p_value: float,
    metric: str = "accuracy",
    *,
    half: float = 0.01,
    over_seeds: float | None = None,
    holm: float | None = None,
    slice: Slice | None = None,
    budget: int | None = None,
    first: str = "distilled",
) -> Comparison:
    tests = [Test(name="bootstrap", p_value=p_value)]
    tests += [Test(name="t", p_value=over_seeds)] if over_seeds is not None else []
    tests += [Test(name="holm", p_value=holm)] if holm is not None else []
    return Comparison(
        first=first, second=second, metric=metric, slice=slice or {}, budget=budget, value=value, low=value - half,
        high=value + half, seeds={0: value, 1: value, 2: value}, tests=tests,
    )  # fmt: skip


def speed(scale: float = 1.0, *, tokens: bool = False) -> Speed:
    if tokens:
        return Speed(parameters=int(1000 * scale), size_bytes=1, tokens_per_second=100 / scale, batch_size=8)
    return Speed(
        parameters=int(1000 * scale), size_bytes=4000, latency_ms_median=10 * scale, latency_ms_p95=12 * scale,
        throughput_rows_per_second=50 / scale, batch_size=32, peak_memory_bytes=1,
    )  # fmt: skip


def cost(system: str, seconds: float, seed: int = 0, rows_seen: int = 1) -> StageCost:
    return StageCost(stage="a", system=system, seed=seed, seconds=seconds, steps=1, rows_seen=rows_seen, tokens_seen=1,
                     peak_memory_bytes=1)  # fmt: skip


def record(
    figures: Sequence[Figure],
    comparisons: Sequence[Comparison] = (),
    *,
    headline: str = "accuracy",
    speeds: dict[str, Speed] | None = None,
    costs: Sequence[StageCost] = (),
    sections: Sequence[Section] = (),
    systems: Sequence[System] = (),
    seeds: Sequence[int] = (0, 1, 2),
    labelled: int | None = None,
) -> Results:
    """A record of the systems that have figures or are compared."""
    named = {f.system for f in figures} | {side for c in comparisons for side in (c.first, c.second)}
    shown = [
        System(name=name, title=title, role=role, control=name == "fine_tune",
               detail="'card arrival', which 3 of 10 rows are" if role == "constant" else "")
        for name, (role, title) in TITLES.items()
        if name in named
    ]  # fmt: skip
    run = Run(
        name="", created="", limbeck_version="", command="", recipe="kd", seeds=list(seeds),
        rows={} if labelled is None else {"labelled": labelled}, resolved="", environment={}, data_fingerprints={},
    )  # fmt: skip
    return Results(
        kind="classification", run=run, verdict=[], warnings=[], metrics=METRICS, headline=headline,
        systems=list(systems) or shown, figures=list(figures), comparisons=list(comparisons), curves=[],
        costs=list(costs), sections=[*sections, *([Speeds(systems=speeds)] if speeds else [])],
    )  # fmt: skip
