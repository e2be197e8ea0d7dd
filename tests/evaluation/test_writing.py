"""Figures, intervals and comparisons of systems whose outputs are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.measured import compared, figure, find, interval, section

from limbeck.errors import DataError
from limbeck.evaluation.generation.outputs import HeldOutTexts, SystemOutputs
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.writing import Writer, measure_writing
from limbeck.results.record import Role, System
from limbeck.results.sections import Retention, Samples

NOTHING = HeldOutTexts([], [])
ROLES: dict[str, Role] = {"teacher": "teacher", "distilled": "main", "fine_tune": "baseline"}
ROWS = 50
TOKENS = np.array([2 + row % 7 for row in range(ROWS)])


def system(name: str, **by_seed: SystemOutputs) -> Writer:
    outputs = {int(seed.removeprefix("s")): found for seed, found in by_seed.items()}
    return Writer(System(name=name, title=name.capitalize(), role=ROLES[name]), outputs)


def losses(per_token: float | NDArray[np.float64], **more: object) -> SystemOutputs:
    return SystemOutputs(tokens_N=TOKENS, nll_sum_N=TOKENS * (per_token + np.zeros(ROWS)), **more)


def kept_by(measured: Measured, system: str) -> dict[str, float]:
    return {kept.metric: kept.kept.value for kept in section(measured, Retention).kept if kept.system == system}


def noise(seed: int, size: float = 0.4) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, size, ROWS)


def test_a_constant_system_has_an_interval_of_no_width() -> None:
    figures = measure_writing([system("distilled", s0=losses(1.5, agreed_N=TOKENS))], NOTHING)
    for metric in ("nll", "nll_by_row"):
        found = interval(figure(figures, "distilled", metric))
        assert (found.low, found.value, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert figure(figures, "distilled", "perplexity").value == pytest.approx(np.exp(1.5))
    assert figure(figures, "distilled", "agreement").value == 1
    assert {f.metric for f in figures.figures} == {"perplexity", "agreement", "nll", "nll_by_row"}
    assert figures.headline == "nll"
    assert (figures.comparisons, figures.warnings) == ([], [])
    assert section(figures, Retention).kept == section(figures, Samples).samples == []


def test_tokens_and_rows_weigh_differently() -> None:
    outputs = SystemOutputs(tokens_N=np.array([1, 9]), nll_sum_N=np.array([5.0, 9.0]))
    figures = measure_writing([system("distilled", s0=outputs)], NOTHING)
    assert figure(figures, "distilled", "nll").value == pytest.approx(1.4)
    assert figure(figures, "distilled", "nll_by_row").value == pytest.approx(3.0)


def test_the_interval_resamples_rows_and_not_tokens() -> None:
    """Rows of 100 tokens of one loss each: the interval is that of 40 numbers, not of 4,000."""
    per_row = np.random.default_rng(1).normal(2.0, 1.0, 40)
    outputs = SystemOutputs(tokens_N=np.full(40, 100), nll_sum_N=100 * per_row)
    found = interval(figure(measure_writing([system("distilled", s0=outputs)], NOTHING), "distilled", "nll"))
    half = 1.96 * per_row.std() / np.sqrt(40)
    assert found.low == pytest.approx(per_row.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(per_row.mean() + half, abs=0.15 * half)


def test_seeds_are_averaged_and_perplexity_is_their_geometric_mean() -> None:
    figures = measure_writing([system("distilled", s4=losses(1.0), s2=losses(2.0))], NOTHING)
    nll, perplexity = (figure(figures, "distilled", metric) for metric in ("nll", "perplexity"))
    assert nll.value == pytest.approx(1.5)
    assert perplexity.value == pytest.approx(np.sqrt(np.exp(1.0) * np.exp(2.0)))
    assert list(nll.seeds.items()) == [(2, pytest.approx(2.0)), (4, pytest.approx(1.0))]
    assert perplexity.seeds[2] == pytest.approx(np.exp(2.0))


def test_differences_are_paired_row_by_row() -> None:
    """Rows differ much more than the systems do; the pairing takes that out."""
    hard = noise(0, 3.0)
    ours = system("distilled", s0=losses(2.9 + hard + noise(1, 0.01)))
    plain = system("fine_tune", s0=losses(3.0 + hard + noise(2, 0.01)))
    figures = measure_writing([plain, ours], NOTHING)
    comparison, alone = compared(figures, "fine_tune", "nll"), interval(figure(figures, "distilled", "nll"))
    assert comparison.value == pytest.approx(-0.1, abs=0.01)
    assert interval(comparison).high < -0.08
    assert (comparison.p_value() or 1) < 0.002
    assert alone.high - alone.low > 0.5
    assert comparison.seeds == {0: pytest.approx(comparison.value)}
    assert comparison.p_value("t") is None


def test_a_tie_is_no_difference() -> None:
    same = losses(2.0 + noise(0), kl_sum_N=TOKENS * 0.1, agreed_N=TOKENS // 2)
    figures = measure_writing([system("fine_tune", s0=same), system("distilled", s0=same)], NOTHING)
    assert [c.metric for c in figures.comparisons] == ["kl", "agreement", "nll"]
    for c in figures.comparisons:
        assert (c.low, c.value, c.high, c.p_value()) == (0, 0, 0, 1)


def test_three_seeds_are_tested_and_the_teacher_meets_each() -> None:
    ours = system("distilled", s0=losses(2.0), s1=losses(2.1), s2=losses(2.2))
    plain = system("fine_tune", s0=losses(2.2), s1=losses(2.35), s2=losses(2.5))
    figures = measure_writing([system("teacher", s7=losses(1.0)), plain, ours], NOTHING)
    seeds = compared(figures, "fine_tune", "nll")
    assert list(seeds.seeds.values()) == pytest.approx([-0.2, -0.25, -0.3])
    # t = 0.25 / (0.05 / sqrt(3)) = 8.66 with two degrees of freedom.
    assert seeds.p_value("t") == pytest.approx(0.01307, abs=1e-4)
    teacher = compared(figures, "teacher", "nll")
    assert list(teacher.seeds.values()) == pytest.approx([1.0, 1.1, 1.2])
    assert kept_by(figures, "distilled") == pytest.approx({"perplexity": np.exp(-1.1)})
    assert kept_by(figures, "fine_tune") == pytest.approx({"perplexity": np.exp(-1.35)})


def test_seeds_that_do_not_match_are_refused() -> None:
    ours = system("distilled", s0=losses(2.0), s1=losses(2.1))
    plain = system("fine_tune", s0=losses(2.2), s2=losses(2.35))
    with pytest.raises(DataError, match=r"seeds \[0, 1\] and \[0, 2\]; train both"):
        measure_writing([plain, ours], NOTHING)


HELD_OUT = HeldOutTexts([f"{row} + 1 =" for row in range(ROWS)], [f"#### {row + 1}" for row in range(ROWS)])


def answers(right: int, text: str = "#### {}") -> SystemOutputs:
    texts = [text.format(row + 1 if row < right else -1) for row in range(ROWS)]
    return losses(2.0, texts=texts, cut_off_N=np.arange(ROWS) < 5)


def test_answers_are_measured_as_asked() -> None:
    systems = [
        system("teacher", s0=answers(40)),
        system("fine_tune", s0=answers(10)),
        system("distilled", s0=answers(30)),
    ]
    figures = measure_writing(systems, HELD_OUT, metrics=["numeric_match", "exact_match"])
    assert figures.headline == "numeric_match"
    values = {f.metric: f.value for f in figures.figures if f.system == "distilled"}
    assert values["numeric_match"] == pytest.approx(0.6)
    assert "rouge_l" not in values
    assert values["cut_off"] == pytest.approx(0.1)
    assert values["words"] == 1
    assert values["distinct_1"] == pytest.approx(30 / 50)  # 1 to 30; a wrong answer is the word "1" too
    assert values["distinct_2"] == 0
    kept = {(k.system, k.metric): k.kept for k in section(figures, Retention).kept}
    assert kept["distilled", "numeric_match"].value == pytest.approx(0.75)
    assert kept["distilled", "numeric_match"].low < 0.74 < 0.76 < kept["distilled", "numeric_match"].high < 1
    assert compared(figures, "fine_tune", "numeric_match").value == pytest.approx(0.4)
    assert len(section(figures, Samples).samples) == 12
    assert measure_writing(systems, HELD_OUT).headline == "rouge_l"


def test_samples_of_rows_without_any_answer_are_left_out() -> None:
    """Of 50 rows two are answered: of 100 bootstrap samples, 13 hold neither."""

    def few(right: int) -> SystemOutputs:
        answered = answers(50 if right else 0)
        assert answered.texts is not None
        return replace(answered, texts=[text if row < 2 else None for row, text in enumerate(answered.texts)])

    systems = [system("teacher", s0=few(1)), system("fine_tune", s0=few(0)), system("distilled", s0=few(1))]
    figures = measure_writing(systems, HELD_OUT, metrics=["numeric_match"])
    found = figure(figures, "distilled", "numeric_match")
    assert (found.low, found.value, found.high, found.rows) == (1, 1, 1, 2)
    difference = compared(figures, "fine_tune", "numeric_match")
    assert (difference.low, difference.high) == (1, 1)
    assert (difference.p_value() or 1) < 0.01
    assert kept_by(figures, "distilled")["numeric_match"] == 1


def test_a_teacher_that_is_never_right_keeps_nothing_to_divide_by() -> None:
    systems = [system("teacher", s0=answers(0)), system("distilled", s0=answers(9))]
    figures = measure_writing(systems, HELD_OUT, metrics=["numeric_match"])
    assert list(kept_by(figures, "distilled")) == ["perplexity"]


def test_references_without_a_number_are_counted_and_named() -> None:
    held_out = HeldOutTexts(HELD_OUT.prompts, ["many", *HELD_OUT.references[1:]])
    figures = measure_writing([system("distilled", s0=answers(ROWS))], held_out, metrics=["numeric_match"])
    assert figure(figures, "distilled", "numeric_match").value == pytest.approx(0.98)
    assert figures.warnings == ["1 of 50 references contain no number and count as missed by all systems."]


def test_losses_of_different_tokens_are_not_compared() -> None:
    teacher = SystemOutputs(tokens_N=TOKENS + 1, nll_sum_N=TOKENS * 1.0)
    figures = measure_writing([system("teacher", s0=teacher), system("distilled", s0=losses(2.0))], NOTHING)
    assert figures.comparisons == section(figures, Retention).kept == []
    assert "different tokens" in figures.warnings[0]


def test_an_infinite_loss_is_said_and_not_shown() -> None:
    infinite = np.zeros(ROWS)
    infinite[3] = np.inf
    ours = system("distilled", s0=losses(2.0), s1=losses(infinite))
    figures = measure_writing([system("fine_tune", s0=losses(2.0), s1=losses(2.0)), ours], NOTHING)
    assert find(figures, "distilled", "nll") is find(figures, "distilled", "perplexity") is None
    assert find(figures, "fine_tune", "nll") is not None
    assert figures.comparisons == []
    assert figures.warnings == [
        "Distilled, seed 1: the loss is not finite on 1 held-out rows (it rules out a token that occurs), so it is "
        "not shown."
    ]


def test_other_systems_change_no_figure() -> None:
    ours = system("distilled", s0=losses(2.0 + noise(0)))
    beside = measure_writing([system("teacher", s0=losses(1.0 + noise(1))), ours], NOTHING)
    alone, found = (figure(both, "distilled", "nll") for both in (measure_writing([ours], NOTHING), beside))
    assert (alone.low, alone.value, alone.high) == pytest.approx((found.low, found.value, found.high), abs=1e-12)


def test_one_answer_to_every_prompt_is_measured_where_references_repeat() -> None:
    """30 of 50 references are "yes" in some spelling; the last 10 rows, all "no", were not asked about."""
    references = ["Yes.", "yes", " YES"] * 10 + [f"number {row}" for row in range(10)] + ["no"] * 10
    asked = ["yes" if row < 40 else None for row in range(ROWS)]
    student = losses(1.0, texts=asked)
    teacher = losses(1.0, texts=[text if text is None else references[row] for row, text in enumerate(asked)])
    held_out = HeldOutTexts([""] * ROWS, references)
    figures = measure_writing([system("teacher", s0=teacher), system("distilled", s0=student)], held_out)
    one = figures.systems[-1]
    assert (one.role, one.detail) == ("constant", "'Yes.', the reference of 30 of 40 answered rows")
    assert figure(figures, "constant", "exact_match").value == pytest.approx(0.75)
    assert {f.metric for f in figures.figures if f.system == "constant"} == {"exact_match", "rouge_l"}
    difference = compared(figures, "constant", figures.headline)
    assert difference.value == pytest.approx(0)
    good = measure_writing([system("teacher", s0=teacher), system("distilled", s0=teacher)], held_out)
    better = compared(good, "constant", figures.headline)
    assert interval(better).low > 0
    assert [f for f in good.figures if f.system == "teacher"] == [f for f in figures.figures if f.system == "teacher"]


@pytest.mark.parametrize(
    "references", [[f"number {row}" for row in range(ROWS)], ["twice"] * 2 + [str(n) for n in range(48)]]
)
def test_references_that_hardly_repeat_have_no_answer_for_all(references: list[str]) -> None:
    figures = measure_writing(
        [system("distilled", s0=losses(1.0, texts=["a"] * ROWS))], HeldOutTexts([""] * ROWS, references)
    )
    assert [one.role for one in figures.systems] == ["main"]
