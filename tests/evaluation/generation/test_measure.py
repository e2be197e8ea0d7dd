"""Figures, intervals and comparisons of systems whose outputs are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.evaluation.generation.measure import measure_generation
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.generation_results import (
    GenerationComparison,
    GenerationFigures,
    GenerationSpeed,
    GenerationSystem,
    beats_one_answer,
)
from limbeck.results import SystemName

SPEED = GenerationSpeed(parameters=1, size_bytes=4, tokens_per_second=None, batch_size=None, peak_memory_bytes=None)
NOTHING = HeldOutTexts([], [])
ROWS = 50
TOKENS = np.array([2 + row % 7 for row in range(ROWS)])


def system(name: SystemName, **by_seed: SystemOutputs) -> GeneratingSystem:
    outputs = {int(seed.removeprefix("s")): found for seed, found in by_seed.items()}
    return GeneratingSystem(name=name, title=name.capitalize(), detail="", speed=SPEED, outputs=outputs)


def losses(per_token: float | NDArray[np.float64], **more: object) -> SystemOutputs:
    return SystemOutputs(tokens_N=TOKENS, nll_sum_N=TOKENS * (per_token + np.zeros(ROWS)), **more)


def of(figures: GenerationFigures, name: str) -> GenerationSystem:
    return next(s for s in figures.systems if s.name == name)


def between(figures: GenerationFigures, second: str, metric: str) -> GenerationComparison:
    return next(c for c in figures.comparisons if (c.second, c.metric) == (second, metric))


def noise(seed: int, size: float = 0.4) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, size, ROWS)


def test_a_constant_system_has_an_interval_of_no_width() -> None:
    figures = measure_generation([system("distilled", s0=losses(1.5, agreed_N=TOKENS))], NOTHING)
    found = of(figures, "distilled")
    for interval in (found.nll_nats, found.nll_by_row_nats):
        assert interval
        assert (interval.low, interval.value, interval.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.perplexity
    assert found.perplexity.value == pytest.approx(np.exp(1.5))
    assert found.agreement
    assert found.agreement.value == 1
    assert found.kl_to_teacher_nats is found.rouge_l is found.written is None
    assert figures.headline == "nll_nats"
    assert (figures.comparisons, figures.retention, figures.samples, figures.warnings) == ([], [], [], [])


def test_tokens_and_rows_weigh_differently() -> None:
    outputs = SystemOutputs(tokens_N=np.array([1, 9]), nll_sum_N=np.array([5.0, 9.0]))
    found = of(measure_generation([system("distilled", s0=outputs)], NOTHING), "distilled")
    assert found.nll_nats
    assert found.nll_by_row_nats
    assert found.nll_nats.value == pytest.approx(1.4)
    assert found.nll_by_row_nats.value == pytest.approx(3.0)


def test_the_interval_resamples_rows_and_not_tokens() -> None:
    """Rows of 100 tokens of one loss each: the interval is that of 40 numbers, not of 4,000."""
    per_row = np.random.default_rng(1).normal(2.0, 1.0, 40)
    outputs = SystemOutputs(tokens_N=np.full(40, 100), nll_sum_N=100 * per_row)
    interval = of(measure_generation([system("distilled", s0=outputs)], NOTHING), "distilled").nll_nats
    assert interval
    half = 1.96 * per_row.std() / np.sqrt(40)
    assert interval.low == pytest.approx(per_row.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(per_row.mean() + half, abs=0.15 * half)


def test_seeds_are_averaged_and_perplexity_is_their_geometric_mean() -> None:
    figures = measure_generation([system("distilled", s4=losses(1.0), s2=losses(2.0))], NOTHING)
    found = of(figures, "distilled")
    assert found.nll_nats
    assert found.perplexity
    assert found.nll_nats.value == pytest.approx(1.5)
    assert found.perplexity.value == pytest.approx(np.sqrt(np.exp(1.0) * np.exp(2.0)))
    assert [(s.seed, round(s.nll_nats or 0, 9)) for s in found.seeds] == [(2, 2.0), (4, 1.0)]
    assert found.seeds[0].perplexity == pytest.approx(np.exp(2.0))
    assert found.seeds[0].rouge_l is None


def test_differences_are_paired_row_by_row() -> None:
    """Rows differ much more than the systems do; the pairing takes that out."""
    hard = noise(0, 3.0)
    ours = system("distilled", s0=losses(2.9 + hard + noise(1, 0.01)))
    plain = system("fine_tuned", s0=losses(3.0 + hard + noise(2, 0.01)))
    figures = measure_generation([plain, ours], NOTHING)
    comparison = between(figures, "fine_tuned", "nll_nats")
    assert comparison.difference.value == pytest.approx(-0.1, abs=0.01)
    assert comparison.difference.high < -0.08
    assert comparison.bootstrap_p_value < 0.002
    assert of(figures, "distilled").nll_nats.high - of(figures, "distilled").nll_nats.low > 0.5  # type: ignore[union-attr]
    assert comparison.per_seed_difference == [pytest.approx(comparison.difference.value)]
    assert comparison.t_test_p_value is None


def test_a_tie_is_no_difference() -> None:
    same = losses(2.0 + noise(0), kl_sum_N=TOKENS * 0.1, agreed_N=TOKENS // 2)
    figures = measure_generation([system("fine_tuned", s0=same), system("distilled", s0=same)], NOTHING)
    assert [c.metric for c in figures.comparisons] == ["nll_nats", "kl_to_teacher_nats", "agreement"]
    for c in figures.comparisons:
        assert (c.difference.low, c.difference.value, c.difference.high, c.bootstrap_p_value) == (0, 0, 0, 1)


def test_three_seeds_are_tested_and_the_teacher_meets_each() -> None:
    ours = system("distilled", s0=losses(2.0), s1=losses(2.1), s2=losses(2.2))
    plain = system("fine_tuned", s0=losses(2.2), s1=losses(2.35), s2=losses(2.5))
    figures = measure_generation([system("teacher", s7=losses(1.0)), plain, ours], NOTHING)
    seeds = between(figures, "fine_tuned", "nll_nats")
    assert seeds.per_seed_difference == pytest.approx([-0.2, -0.25, -0.3])
    # t = 0.25 / (0.05 / sqrt(3)) = 8.66 with two degrees of freedom.
    assert seeds.t_test_p_value == pytest.approx(0.01307, abs=1e-4)
    teacher = between(figures, "teacher", "nll_nats")
    assert teacher.per_seed_difference == pytest.approx([1.0, 1.1, 1.2])
    kept = {r.system: r.kept.value for r in figures.retention}
    assert kept == pytest.approx({"distilled": np.exp(-1.1), "fine_tuned": np.exp(-1.35)})


def test_seeds_that_do_not_match_are_refused() -> None:
    ours = system("distilled", s0=losses(2.0), s1=losses(2.1))
    plain = system("fine_tuned", s0=losses(2.2), s2=losses(2.35))
    with pytest.raises(DataError, match=r"seeds \[0, 1\] and \[0, 2\]; train both"):
        measure_generation([plain, ours], NOTHING)


HELD_OUT = HeldOutTexts([f"{row} + 1 =" for row in range(ROWS)], [f"#### {row + 1}" for row in range(ROWS)])


def answers(right: int, text: str = "#### {}") -> SystemOutputs:
    texts = [text.format(row + 1 if row < right else -1) for row in range(ROWS)]
    return losses(2.0, texts=texts, cut_off_N=np.arange(ROWS) < 5)


def test_answers_are_measured_as_asked() -> None:
    systems = [
        system("teacher", s0=answers(40)),
        system("fine_tuned", s0=answers(10)),
        system("distilled", s0=answers(30)),
    ]
    figures = measure_generation(systems, HELD_OUT, metrics=["numeric_match", "exact_match"])
    assert figures.headline == "numeric_match"
    ours = of(figures, "distilled")
    assert ours.numeric_match
    assert ours.numeric_match.value == pytest.approx(0.6)
    assert ours.rouge_l is None
    assert ours.written
    assert ours.written.cut_off
    assert ours.written.cut_off.value == pytest.approx(0.1)
    assert ours.written.words.value == 1
    assert ours.written.distinct_1 == pytest.approx(30 / 50)  # 1 to 30; a wrong answer is the word "1" too
    assert ours.written.distinct_2 == 0
    kept = {(r.system, r.metric): r.kept for r in figures.retention}
    assert kept["distilled", "numeric_match"].value == pytest.approx(0.75)
    assert kept["distilled", "numeric_match"].low < 0.74 < 0.76 < kept["distilled", "numeric_match"].high < 1
    assert between(figures, "fine_tuned", "numeric_match").difference.value == pytest.approx(0.4)
    assert len(figures.samples) == 12
    assert measure_generation(systems, HELD_OUT).headline == "rouge_l"


def test_samples_of_rows_without_any_answer_are_left_out() -> None:
    """Of 50 rows two are answered: of 100 bootstrap samples, 13 hold neither."""

    def few(right: int) -> SystemOutputs:
        answered = answers(50 if right else 0)
        assert answered.texts is not None
        return replace(answered, texts=[text if row < 2 else None for row, text in enumerate(answered.texts)])

    systems = [system("teacher", s0=few(1)), system("fine_tuned", s0=few(0)), system("distilled", s0=few(1))]
    figures = measure_generation(systems, HELD_OUT, metrics=["numeric_match"])
    found = of(figures, "distilled").numeric_match
    assert found
    assert (found.low, found.value, found.high) == (1, 1, 1)
    compared = between(figures, "fine_tuned", "numeric_match")
    assert (compared.difference.low, compared.difference.high) == (1, 1)
    assert compared.bootstrap_p_value < 0.01
    assert {r.metric: r.kept.low for r in figures.retention if r.system == "distilled"}["numeric_match"] == 1


def test_a_teacher_that_is_never_right_keeps_nothing_to_divide_by() -> None:
    systems = [system("teacher", s0=answers(0)), system("distilled", s0=answers(9))]
    figures = measure_generation(systems, HELD_OUT, metrics=["numeric_match"])
    assert [r.metric for r in figures.retention] == ["perplexity"]


def test_references_without_a_number_are_counted_and_named() -> None:
    held_out = HeldOutTexts(HELD_OUT.prompts, ["many", *HELD_OUT.references[1:]])
    figures = measure_generation([system("distilled", s0=answers(ROWS))], held_out, metrics=["numeric_match"])
    assert of(figures, "distilled").numeric_match.value == pytest.approx(0.98)  # type: ignore[union-attr]
    assert figures.warnings == ["1 of 50 references hold no number and count as missed by all."]


def test_losses_of_different_tokens_are_not_compared() -> None:
    teacher = SystemOutputs(tokens_N=TOKENS + 1, nll_sum_N=TOKENS * 1.0)
    figures = measure_generation([system("teacher", s0=teacher), system("distilled", s0=losses(2.0))], NOTHING)
    assert (figures.comparisons, figures.retention) == ([], [])
    assert "different tokens" in figures.warnings[0]


def test_an_infinite_loss_is_said_and_not_shown() -> None:
    infinite = np.zeros(ROWS)
    infinite[3] = np.inf
    ours = system("distilled", s0=losses(2.0), s1=losses(infinite))
    figures = measure_generation([system("fine_tuned", s0=losses(2.0), s1=losses(2.0)), ours], NOTHING)
    assert of(figures, "distilled").nll_nats is of(figures, "distilled").perplexity is None
    assert of(figures, "fine_tuned").nll_nats is not None
    assert figures.comparisons == []
    assert figures.warnings == [
        "Distilled, seed 1: the loss is not finite on 1 held-out rows (it rules out a token that occurs), so it is "
        "not shown."
    ]


def test_other_systems_change_no_figure() -> None:
    ours = system("distilled", s0=losses(2.0 + noise(0)))
    beside = measure_generation([system("teacher", s0=losses(1.0 + noise(1))), ours], NOTHING)
    alone, found = (of(figures, "distilled").nll_nats for figures in (measure_generation([ours], NOTHING), beside))
    assert alone
    assert found
    assert (alone.low, alone.value, alone.high) == pytest.approx((found.low, found.value, found.high), abs=1e-12)


def test_one_answer_to_every_prompt_is_measured_where_references_repeat() -> None:
    """30 of 50 references are "yes" in some spelling; the last 10 rows, all "no", were not asked about."""
    references = ["Yes.", "yes", " YES"] * 10 + [f"number {row}" for row in range(10)] + ["no"] * 10
    asked = ["yes" if row < 40 else None for row in range(ROWS)]
    student = losses(1.0, texts=asked)
    teacher = losses(1.0, texts=[text if text is None else references[row] for row, text in enumerate(asked)])
    held_out = HeldOutTexts([""] * ROWS, references)
    figures = measure_generation([system("teacher", s0=teacher), system("distilled", s0=student)], held_out)
    one = figures.one_answer
    assert one is not None
    assert (one.answer, one.rows, one.of_rows) == ("Yes.", 30, 40)
    assert one.exact_match is not None
    assert one.exact_match.value == pytest.approx(0.75)
    compared = between(figures, "most_frequent", figures.headline)
    assert compared.difference.value == pytest.approx(0)
    assert not beats_one_answer(figures)
    good = measure_generation([system("teacher", s0=teacher), system("distilled", s0=teacher)], held_out)
    assert beats_one_answer(good)
    assert good.systems[0] == figures.systems[0], "it changes no other figure"


@pytest.mark.parametrize(
    "references", [[f"number {row}" for row in range(ROWS)], ["twice"] * 2 + [str(n) for n in range(48)]]
)
def test_references_that_hardly_repeat_have_no_answer_for_all(references: list[str]) -> None:
    figures = measure_generation(
        [system("distilled", s0=losses(1.0, texts=["a"] * ROWS))], HeldOutTexts([""] * ROWS, references)
    )
    assert figures.one_answer is None
    assert beats_one_answer(figures)
