"""Figures by language: one vote for each language, paired samples, and tests corrected for their number."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.measured import compared, figure, find, interval, section

from limbeck.errors import DataError
from limbeck.evaluation.cross_lingual import LanguageTestSet, Ranked, measure_languages, most_frequent_accuracy
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.metrics.ranking import ExampleScores
from limbeck.evaluation.significance import holm, paired_t
from limbeck.results.figures import Comparison
from limbeck.results.record import Role, System
from limbeck.results.sections import Forgetting, Languages
from limbeck.types import Instruction

RESAMPLES = 2000
SIZES = {("topic", "en"): 20, ("topic", "de"): 40, ("pair", "de"): 10, ("topic", "sw"): 30, ("pair", "bg"): 25}
TEST_SET = LanguageTestSet(
    task=[task for (task, _), n in SIZES.items() for _ in range(n)],
    lang=[lang for (_, lang), n in SIZES.items() for _ in range(n)],
    candidates=[4 + (task == "topic") for (task, _), n in SIZES.items() for _ in range(n)],
    source_language="en",
    languages=["sw", "de", "bg"],
    low_resource=frozenset({"sw", "bg"}),
)
ROWS = len(TEST_SET.task)
TASK, LANG = np.array(TEST_SET.task), np.array(TEST_SET.lang)
TARGETS = ["sw", "de", "bg"]
Values = NDArray[np.float64]


def ranked(name: str, example_scores: dict[int, ExampleScores], budget: int = 16, role: Role = "baseline") -> Ranked:
    return Ranked(System(name=name, title=name.upper(), role=role), budget, example_scores)


def example_scores(accuracy: Values, reciprocal_rank: Values | None = None) -> ExampleScores:
    n = len(accuracy)
    ranks = accuracy if reciprocal_rank is None else reciprocal_rank
    return ExampleScores(accuracy, ranks, np.full(n, np.nan), np.full((n, 3), np.nan))


def system(name: str, right: float, *, seeds: int = 4, budget: int = 16, role: Role = "baseline") -> Ranked:
    """A system that is right on about this share of the records."""
    rng = np.random.default_rng([0, *name.encode()])
    accuracy = {seed: (rng.random(ROWS) < right).astype(np.float64) for seed in range(seeds)}
    by_seed = {
        seed: example_scores(hits, np.where(hits > 0, 1.0, rng.choice([0.5, 0.25], ROWS)))
        for seed, hits in accuracy.items()
    }
    return ranked(name, by_seed, budget, role)


FIRST, SECOND, THIRD = system("ours", 0.8, role="main"), system("ml_dft", 0.6), system("pl_bl", 0.55)
FOUND = measure_languages(TEST_SET, [FIRST, SECOND, THIRD], resamples=RESAMPLES)


def records_of(task: str, lang: str) -> NDArray[np.int64]:
    return np.array([row for row in range(ROWS) if (TEST_SET.task[row], TEST_SET.lang[row]) == (task, lang)])


def language_mean(values: Values, lang: str) -> float:
    """Each task one vote."""
    return float(np.mean([values[records_of(task, lang)].mean() for task, of in SIZES if of == lang]))


def mean_over(languages: list[str], values: Values) -> float:
    return float(np.mean([language_mean(values, lang) for lang in languages]))


def earned(one: Ranked, metric: str = "accuracy") -> dict[int, Values]:
    return {
        seed: c.accuracy_N if metric == "accuracy" else c.reciprocal_rank_N for seed, c in one.example_scores.items()
    }


def main(example_scores: dict[int, ExampleScores], budget: int = 16) -> Ranked:
    return ranked("ours", example_scores, budget, "main")


def compare(
    first: dict[int, ExampleScores], second: Ranked, test_set: LanguageTestSet = TEST_SET, resamples: int = RESAMPLES
) -> Measured:
    return measure_languages(test_set, [main(first, second.budget), second], resamples=resamples)


def macro(found: Measured, second: str, metric: str = "accuracy") -> Comparison:
    return compared(found, second, metric, 16)


def in_language(found: Measured, lang: str, second: str, metric: str = "accuracy") -> Comparison:
    return compared(found, second, metric, 16, lang=lang)


def test_cells_hold_means_over_seeds_of_their_own_records() -> None:
    languages = section(FOUND, Languages)
    assert languages.resources == {"en": "source", "sw": "low", "de": "high", "bg": "low"}
    cells = [f for f in FOUND.figures if f.system == "ours" and f.slice.keys() == {"task", "lang"}]
    assert {(f.slice["task"], f.slice["lang"]) for f in cells} == set(SIZES)
    for task, lang in SIZES:
        here = records_of(task, lang)
        assert languages.candidates[lang][task] == (5 if task == "topic" else 4)
        for metric in ("accuracy", "mrr"):
            cell = figure(FOUND, "ours", metric, 16, lang=lang, task=task)
            assert cell.rows == len(here) == SIZES[task, lang]
            assert cell.seeds == pytest.approx({s: v[here].mean() for s, v in earned(FIRST, metric).items()})
            assert cell.value == pytest.approx(np.mean(list(cell.seeds.values())))
            assert interval(cell).low < cell.value < interval(cell).high


def test_macro_averages_give_each_target_language_one_vote_and_each_task_in_it_one() -> None:
    for metric in ("accuracy", "mrr"):
        mean = np.mean(list(earned(FIRST, metric).values()), axis=0)
        assert figure(FOUND, "ours", metric, 16).value == pytest.approx(mean_over(TARGETS, mean))
        assert figure(FOUND, "ours", metric, 16, resource="high").value == pytest.approx(mean_over(["de"], mean))
        assert figure(FOUND, "ours", metric, 16, resource="low").value == pytest.approx(mean_over(["sw", "bg"], mean))
        assert figure(FOUND, "ours", metric, 16, lang="de").value == pytest.approx(language_mean(mean, "de"))
        of_pairs = [mean[records_of("pair", lang)].mean() for lang in ("de", "bg")]
        assert figure(FOUND, "ours", metric, 16, task="pair").value == pytest.approx(np.mean(of_pairs))


def test_no_low_resource_language_has_no_low_average() -> None:
    test_set = LanguageTestSet(TEST_SET.task, TEST_SET.lang, TEST_SET.candidates, "en", TEST_SET.languages)
    found = measure_languages(test_set, [FIRST, SECOND], resamples=10)
    assert find(found, "ours", "accuracy", 16, resource="low") is None
    assert not any(c.slice == {"resource": "low"} for c in found.comparisons)
    high, whole = figure(found, "ours", "accuracy", 16, resource="high"), figure(found, "ours", "accuracy", 16)
    assert high.value == whole.value


def test_differences_are_those_of_the_averages() -> None:
    wholes = [c for c in FOUND.comparisons if not c.slice]
    assert [(c.first, c.second, c.metric) for c in wholes] == [
        ("ours", "ml_dft", "accuracy"),
        ("ours", "pl_bl", "accuracy"),
        ("ours", "ml_dft", "mrr"),
        ("ours", "pl_bl", "mrr"),
    ]
    for found in wholes:
        baseline = SECOND if found.second == "ml_dft" else THIRD
        first, other = earned(FIRST, found.metric), earned(baseline, found.metric)
        d = np.mean([first[s] - other[s] for s in range(4)], axis=0)
        assert found.value == pytest.approx(mean_over(TARGETS, d))
        for resource, languages in (("high", ["de"]), ("low", ["sw", "bg"])):
            part = compared(FOUND, found.second, found.metric, 16, resource=resource)
            assert part.value == pytest.approx(mean_over(languages, d))
        for lang in ("en", *TARGETS):
            assert in_language(FOUND, lang, found.second, found.metric).value == pytest.approx(language_mean(d, lang))


def test_bootstrap_agrees_with_one_that_draws_record_by_record() -> None:
    d = np.mean([earned(FIRST)[s] - earned(SECOND)[s] for s in range(4)], axis=0)
    rng = np.random.default_rng(5)
    cells = [records_of(task, lang) for task, lang in SIZES]
    votes = np.zeros(ROWS)  # each record's share in the macro average
    for (_, lang), rows in zip(SIZES, cells, strict=True):
        tasks = sum(of == lang for _, of in SIZES)
        votes[rows] = 0 if lang == "en" else 1 / 3 / tasks / len(rows)
    assert votes @ d == pytest.approx(mean_over(TARGETS, d))
    draws = []
    for _ in range(2000):
        resampled = np.empty(ROWS)
        for rows in cells:
            resampled[rows] = d[rng.choice(rows, len(rows))]
        draws.append(votes @ resampled)
    low, high = np.quantile(draws, [0.025, 0.975])
    found = macro(FOUND, "ml_dft")
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_p_value_of_the_exact_case() -> None:
    test_set = LanguageTestSet(["topic"] * 4, ["de"] * 4, [2] * 4, "en", ["de"])
    first, second = np.array([1.0, 1, 0, 0]), np.array([0.0, 0, 0, 1])  # differences 1, 1, 0, -1
    found = macro(
        compare({0: example_scores(first)}, ranked("b", {0: example_scores(second)}), test_set, resamples=40_000), "b"
    )
    assert found.value == 0.25
    assert found.p_value() == pytest.approx(0.75, abs=0.02)
    exact = [(first - second)[list(rows)].mean() for rows in itertools.product(range(4), repeat=4)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(exact, [0.025, 0.975])))


def test_a_system_against_itself_differs_by_nothing() -> None:
    found = compare(dict(FIRST.example_scores), ranked("twin", dict(FIRST.example_scores)))
    whole = macro(found, "twin")
    assert whole.p_value() == 1
    assert (whole.value, whole.low) == pytest.approx((0, 0), abs=1e-12)
    assert (whole.p_value("t"), whole.p_value("holm")) == (None, None)
    for lang in ("en", *TARGETS):
        one = in_language(found, lang, "twin")
        assert (one.p_value(), one.p_value("t"), one.p_value("holm")) == (1, None, None)
        assert all(test.p_value == 1 for test in one.tests if test.name == "mcnemar")


def test_both_systems_are_resampled_alike() -> None:
    better = {s: replace(c, accuracy_N=c.accuracy_N + 0.1) for s, c in FIRST.example_scores.items()}
    found = macro(compare(better, ranked("twin", dict(FIRST.example_scores))), "twin")
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize("column", ["lang", "task"])
def test_tasks_and_languages_are_resampled_on_their_own(column: str) -> None:
    hits, four = np.tile([1.0, 1, 0, 1, 0, 0, 1, 0, 1, 1], 4), ["de", "fr", "it", "bg"]
    names, same = [name for name in four for _ in range(10)], ["de"] * 40
    task, lang = (same, names) if column == "lang" else (names, same)
    test_set = LanguageTestSet(task, lang, [2] * 40, "en", list(dict.fromkeys(lang)))
    found = measure_languages(test_set, [main({0: example_scores(hits)}, 0)])
    whole = interval(figure(found, "ours", "accuracy", 0))
    cells = [interval(f) for f in found.figures if f.metric == "accuracy" and f.slice.keys() == {"lang", "task"}]
    of_one = np.mean([cell.high - cell.low for cell in cells])
    assert whole.high - whole.low == pytest.approx(of_one / 2, rel=0.15)  # four independent cells of the same spread


def test_other_systems_and_languages_change_no_figure() -> None:
    alone, among = (macro(found, "ml_dft") for found in (compare(dict(FIRST.example_scores), SECOND), FOUND))
    assert (alone.low, alone.high) == pytest.approx((among.low, among.high))
    keep = np.flatnonzero(LANG != "bg")
    test_set = LanguageTestSet(TASK[keep].tolist(), LANG[keep].tolist(), [2] * len(keep), "en", ["de", "sw"])
    ours, other = ({seed: c.take(keep) for seed, c in one.example_scores.items()} for one in (FIRST, SECOND))
    german = in_language(compare(ours, ranked("ml_dft", other), test_set), "de", "ml_dft")
    expected = in_language(FOUND, "de", "ml_dft")
    assert (german.low, german.high) == pytest.approx((expected.low, expected.high))


def test_t_tests_are_over_languages_and_seeds() -> None:
    ours, other = earned(FIRST), earned(SECOND)
    d = {lang: [language_mean(ours[s] - other[s], lang) for s in range(4)] for lang in ("en", *TARGETS)}
    whole = macro(FOUND, "ml_dft").test("t")
    everything = paired_t([x for lang in TARGETS for x in d[lang]])
    assert everything is not None
    assert whole is not None
    assert whole.details["degrees_of_freedom"] == 11
    found = (whole.details["t"], whole.p_value, whole.details["low"], whole.details["high"])
    assert found == pytest.approx((everything.t, everything.p_value, everything.low, everything.high))
    for lang, differences in d.items():
        expected, test = paired_t(differences), in_language(FOUND, lang, "ml_dft").test("t")
        assert expected is not None
        assert test is not None
        assert (test.details["mean"], test.p_value) == pytest.approx((expected.mean, expected.p_value))


def test_holm_is_over_target_languages_and_over_comparisons_of_a_metric() -> None:
    wholes = [c for c in FOUND.comparisons if not c.slice]
    for whole in wholes:
        assert in_language(FOUND, "en", whole.second, whole.metric).p_value("holm") is None
        targets = [in_language(FOUND, lang, whole.second, whole.metric) for lang in TARGETS]
        assert [one.p_value("holm") for one in targets] == holm([one.p_value("t") for one in targets])
    for metric in ("accuracy", "mrr"):
        of_metric = [c for c in wholes if c.metric == metric]
        assert len(of_metric) == 2
        assert [c.p_value("holm") for c in of_metric] == holm([c.p_value("t") for c in of_metric])


def test_mcnemar_counts_all_tasks_of_a_language_by_seed() -> None:
    a, b = np.zeros(ROWS), np.zeros(ROWS)
    german = np.flatnonzero(LANG == "de")
    assert len({TASK[row] for row in german[[5, 45]]}) == 2
    a[german[:12]], b[german[-3:]] = 1, 1
    a[german[20:30]] = 0.5  # a tie of two is not right
    ours, other = ({7: example_scores(hits), 8: example_scores(b)} for hits in (a, b))
    tests = in_language(compare(ours, ranked("b", other), resamples=10), "de", "b").tests
    found = [(t.seed, *t.details.values()) for t in tests if t.name == "mcnemar"]
    assert found == [(7, 12, 3), (8, 0, 0)]
    assert next(t for t in tests if t.name == "mcnemar").p_value == pytest.approx(0.035156, abs=1e-6)
    with_mcnemar = [c for c in FOUND.comparisons if c.test("mcnemar")]
    assert {(c.metric, *c.slice) for c in with_mcnemar} == {("accuracy", "lang")}


def test_a_system_of_one_seed_meets_every_seed_of_the_other() -> None:
    teacher = system("teacher", 0.7, seeds=1, role="teacher")
    found = macro(measure_languages(TEST_SET, [FIRST, teacher], resamples=RESAMPLES), "teacher")
    t_test = found.test("t")
    assert t_test is not None
    assert t_test.details["degrees_of_freedom"] == 11
    assert t_test.details["mean"] == pytest.approx(found.value)


def test_systems_of_other_budgets_are_not_compared() -> None:
    found = measure_languages(TEST_SET, [FIRST, system("teacher", 0.7, budget=0, role="teacher")], resamples=10)
    assert found.comparisons == []


def test_what_the_source_language_cost_is_against_the_teacher() -> None:
    teacher = system("teacher", 0.9, budget=0, role="teacher")
    checks = section(measure_languages(TEST_SET, [teacher, FIRST, SECOND], resamples=10), Forgetting).checks
    english = [np.mean([v[LANG == "en"].mean() for v in earned(one).values()]) for one in (teacher, FIRST, SECOND)]
    assert [check.accuracy for check in checks] == pytest.approx(english)
    assert [check.change for check in checks] == pytest.approx([accuracy - english[0] for accuracy in english])
    assert [check.alarm for check in checks] == [accuracy - english[0] <= -0.02 for accuracy in english]
    assert [check.stage for check in checks] == ["source", "target", "target"]
    assert section(FOUND, Forgetting).checks == []  # no teacher


def test_refuses_seeds_that_do_not_match() -> None:
    with pytest.raises(DataError, match=r"ours and ml_dft .* have seeds \[0, 1, 2, 3\] and \[0, 1, 2\]"):
        compare(dict(FIRST.example_scores), system("ml_dft", 0.5, seeds=3))


def test_refuses_languages_without_records_and_records_of_no_language() -> None:
    with pytest.raises(DataError, match="no test records in fr; there are some in bg, de, en, sw"):
        LanguageTestSet(TEST_SET.task, TEST_SET.lang, TEST_SET.candidates, "en", ["de", "sw", "bg", "fr"])
    with pytest.raises(DataError, match="test records in bg, which is neither source nor target"):
        LanguageTestSet(TEST_SET.task, TEST_SET.lang, TEST_SET.candidates, "en", ["de", "sw"])


def test_figures_of_single_tasks_are_means_over_queries_and_ratios_of_sums() -> None:
    """Queries every third record of topics in German, spans in the pairs of Bulgarian; two seeds."""
    here, there = records_of("topic", "de"), records_of("pair", "bg")
    rng = np.random.default_rng(0)
    ndcg = {seed: np.full(ROWS, np.nan) for seed in (0, 1)}
    spans = {seed: np.full((ROWS, 3), np.nan) for seed in (0, 1)}
    entities = rng.random(len(there)) < 0.6
    for seed in (0, 1):
        ndcg[seed][here[::3]] = rng.random(len(here[::3]))
        called = rng.random(len(there)) < 0.7
        spans[seed][there] = np.column_stack([called & entities & (rng.random(len(there)) < 0.8), called, entities])
    first = {s: replace(FIRST.example_scores[s], ndcg_N=ndcg[s], spans_N3=spans[s]) for s in (0, 1)}
    worse = {s: replace(c, ndcg_N=ndcg[s] / 2, spans_N3=spans[s] * [0.5, 1, 1]) for s, c in first.items()}
    found = measure_languages(
        TEST_SET, [main(first), ranked("halved", worse), system("plain", 0.55, seeds=2)], resamples=RESAMPLES
    )
    special = [f for f in found.figures if f.metric in ("ndcg", "span_f1") and "lang" in f.slice]
    assert {(f.metric, *f.slice.values()) for f in special} == {
        ("ndcg", "de", "topic"),
        ("span_f1", "bg", "pair"),
    }
    assert {f.system for f in special} == {"ours", "halved"}
    gain = figure(found, "ours", "ndcg", 16, lang="de", task="topic")
    f1 = figure(found, "ours", "span_f1", 16, lang="bg", task="pair")
    assert gain.value == pytest.approx(np.mean([values[here[::3]].mean() for values in ndcg.values()]))
    assert gain.rows == len(here[::3])
    sums = [counts[there].sum(axis=0) for counts in spans.values()]
    assert f1.value == pytest.approx(np.mean([2 * right / (called + true) for right, called, true in sums]))
    spread = np.mean(list(ndcg.values()), axis=0)[here[::3]].std() / np.sqrt(len(here[::3]))
    assert interval(gain).high - interval(gain).low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert interval(f1).low < f1.value < interval(f1).high
    for one in (gain, f1):
        half = figure(found, "halved", one.metric, 16, **one.slice)
        ends = interval(one)
        assert (half.value, half.low, half.high) == pytest.approx((ends.value / 2, ends.low / 2, ends.high / 2))


def test_there_is_no_f1_without_entities() -> None:
    spans = np.full((ROWS, 3), np.nan)
    spans[records_of("pair", "bg")] = (0, 1, 0)
    found = measure_languages(TEST_SET, [main({0: replace(FIRST.example_scores[0], spans_N3=spans)})], resamples=10)
    assert not any(f.metric == "span_f1" for f in found.figures)


def record(lang: str, task: str, gold: tuple[int, ...], candidates: tuple[str, ...]) -> Instruction:
    return Instruction(
        id="", source="toy", split="test", task=task, lang=lang, input="", input_pair=None, candidates=candidates,
        gold=gold, parallel=None,
    )  # fmt: skip


def test_the_most_frequent_answer_is_that_of_each_task_and_language() -> None:
    """German topics 3 of 4 and pairs 2 of 3, Swahili topics 1 of 2; English counts for nothing."""
    a, b = ("x", "y"), ("y", "x")
    records = [
        *(record("de", "topic", gold, names) for gold, names in [((0,), a), ((0,), a), ((1,), b), ((1,), a)]),
        *(record("de", "pair", (gold,), a) for gold in (1, 1, 0)),
        *(record("sw", "topic", (gold,), a) for gold in (0, 1)),
        *(record("en", "topic", (0,), a) for _ in range(5)),
    ]
    test_set = LanguageTestSet(
        [r.task for r in records], [r.lang for r in records], [2] * len(records), "en", ["de", "sw"]
    )
    assert most_frequent_accuracy(test_set, records) == pytest.approx(((3 / 4 + 2 / 3) / 2 + 1 / 2) / 2)


def test_chance_stands_in_where_records_bring_their_own_candidates() -> None:
    records = [record("de", "find", (0,), ("a", "b", "c", "d")), record("de", "find", (1, 2), ("e", "f", "g"))]
    test_set = LanguageTestSet(["find"] * 2, ["de"] * 2, [4, 3], "en", ["de"])
    assert most_frequent_accuracy(test_set, records) == pytest.approx((1 / 4 + 2 / 3) / 2)
