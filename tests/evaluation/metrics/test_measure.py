"""From statistics to figures, comparisons and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.evaluation.metrics.measure import Measure, average, compare, measure, ratio
from limbeck.evaluation.metrics.statistic import Statistic, mean_of
from limbeck.results.figures import Interval, Metric

Values = NDArray[np.float64]


def metric(key: str) -> Metric:
    return Metric(key=key, title=key.title(), unit="number", higher_is_better=True)


def _mean(values: Values) -> Statistic:
    return mean_of(values)


MEAN = Measure(metric("mean"), _mean)
EXP = Measure(metric("exp"), _mean, after=np.exp)
POOLED = Measure(metric("pooled"), _mean, pooled=True)
RIGHT: Measure[Values] = Measure(metric("right"), lambda values: mean_of(values > 0, right_N=values > 0))
SOME: Measure[Values] = Measure(metric("some"), lambda values: mean_of(values) if values[0] > 0 else None)


def outputs(*seeds: int, shift: float = 0.0, rows: int = 60) -> Mapping[int, Values]:
    return {seed: np.random.default_rng(seed).normal(shift, 1, rows) for seed in seeds}


def test_a_figure_is_a_mean_over_seeds() -> None:
    by_seed = outputs(0, 1, 2)
    figure = measure({"ours": by_seed}, [MEAN])["ours", "mean"].figure("ours", "mean", budget=16, slice={"lang": "de"})
    assert figure.value == pytest.approx(np.mean(list(by_seed.values())))
    assert figure.seeds == pytest.approx({seed: values.mean() for seed, values in by_seed.items()})
    assert (figure.rows, figure.budget, figure.slice) == (60, 16, {"lang": "de"})
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < figure.value < figure.high


def test_what_comes_after_the_mean() -> None:
    found = measure({"ours": outputs(0, 1)}, [MEAN, EXP])
    plain, risen = found["ours", "mean"].interval, found["ours", "exp"].interval
    assert risen.model_dump() == pytest.approx({key: np.exp(v) for key, v in plain.model_dump().items()})
    seeds = found["ours", "exp"].figure("ours", "exp").seeds
    assert seeds == pytest.approx({s: np.exp(v) for s, v in found["ours", "mean"].seeds.items()})


def test_rows_of_all_seeds_together_have_no_figure_of_a_seed() -> None:
    figure = measure({"ours": outputs(0, 1)}, [POOLED])["ours", "pooled"].figure("ours", "pooled")
    assert figure.seeds == {}


def test_a_metric_that_one_seed_lacks_is_left_out_for_that_system() -> None:
    whole, lacking = outputs(0, 1, shift=9), {0: np.ones(60), 1: -np.ones(60)}
    found = measure({"whole": whole, "lacking": lacking}, [SOME, MEAN])
    assert set(found) == {("whole", "some"), ("whole", "mean"), ("lacking", "mean")}


def test_a_difference_with_its_tests() -> None:
    found = measure({"ours": outputs(0, 1, 2, shift=1), "theirs": outputs(3)}, [RIGHT])
    comparison = compare(("ours", found["ours", "right"]), ("theirs", found["theirs", "right"]), "right")
    assert set(comparison.seeds) == {0, 1, 2}
    assert comparison.value == pytest.approx(np.mean(list(comparison.seeds.values())))
    assert [test.name for test in comparison.tests] == ["bootstrap", "mcnemar", "mcnemar", "mcnemar", "t"]
    mcnemar = comparison.test("mcnemar")
    assert mcnemar is not None
    ours, theirs = outputs(0, shift=1)[0] > 0, outputs(3)[3] > 0
    assert mcnemar.details["only_first_right"] == (ours & ~theirs).sum()
    t_test = comparison.test("t")
    assert t_test is not None
    assert t_test.details["degrees_of_freedom"] == 2


def test_a_system_does_not_differ_from_itself() -> None:
    found = measure({"ours": outputs(0, 1, 2)}, [MEAN])
    comparison = compare(("a", found["ours", "mean"]), ("b", found["ours", "mean"]), "mean")
    assert (comparison.value, comparison.low, comparison.high, comparison.p_value()) == (0, 0, 0, 1)
    assert comparison.test("t") is None  # no spread


def test_seeds_that_do_not_match() -> None:
    found = measure({"ours": outputs(0, 1), "theirs": outputs(2, 3)}, [MEAN])
    with pytest.raises(DataError, match=r"ours and theirs .* seeds \[0, 1\] and \[2, 3\]"):
        compare(("ours", found["ours", "mean"]), ("theirs", found["theirs", "mean"]), "mean")


def test_an_average_gives_each_slice_one_vote() -> None:
    parts = [measure({"ours": outputs(0, 1, rows=rows)}, [RIGHT])["ours", "right"] for rows in (20, 50)]
    whole = average(parts)
    assert whole.interval.value == pytest.approx(np.mean([part.interval.value for part in parts]))
    assert whole.rows == 70
    assert len(whole.right[1]) == 70
    assert whole.seeds[1] == pytest.approx((parts[0].seeds[1] + parts[1].seeds[1]) / 2)


def test_a_share_of_nothing_is_none() -> None:
    found = measure({"ours": outputs(0, shift=50), "none": {0: np.zeros(60)}}, [MEAN])
    assert ratio(found["ours", "mean"], found["none", "mean"]) is None
    itself = ratio(found["ours", "mean"], found["ours", "mean"])
    assert itself is not None
    assert (itself.value, itself.low, itself.high) == (1, 1, 1)


def interval_of(values: Values) -> Interval:
    return measure({"ours": {0: values}}, [MEAN])["ours", "mean"].interval


def test_interval_is_as_wide_as_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = interval_of(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    samples = (np.random.default_rng(0).random((60, 60)) < 0.8).astype(np.float64)
    intervals = [interval_of(sample) for sample in samples]
    covering = sum(interval.low <= 0.8 <= interval.high for interval in intervals)
    assert 52 <= covering < 60


def test_a_constant_has_no_interval() -> None:
    interval = interval_of(np.ones(20))
    assert (interval.low, interval.value, interval.high) == (1, 1, 1)
