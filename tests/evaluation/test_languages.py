"""Figures by language: one vote for each language, paired samples, and tests corrected for their number."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.evaluation.languages import Credits, Panel, always_the_most_frequent, language_records
from limbeck.evaluation.significance import holm, paired_t
from limbeck.language_results import LanguageComparison
from limbeck.types import Instruction

RESAMPLES = 2000
SIZES = {("topic", "en"): 20, ("topic", "de"): 40, ("pair", "de"): 10, ("topic", "sw"): 30, ("pair", "bg"): 25}
PANEL = Panel(
    task=[task for (task, _), n in SIZES.items() for _ in range(n)],
    lang=[lang for (_, lang), n in SIZES.items() for _ in range(n)],
    candidates=[4 + (task == "topic") for (task, _), n in SIZES.items() for _ in range(n)],
    source_language="en",
    languages=["sw", "de", "bg"],
    low_resource=frozenset({"sw", "bg"}),
)
ROWS = len(PANEL.task)
TASK, LANG = np.array(PANEL.task), np.array(PANEL.lang)


def system(name: str, right: float, *, seeds: int = 4, n_target: int = 16, random: int = 0) -> Credits:
    """A system that is right on about this share of the records."""
    rng = np.random.default_rng([random, *name.encode()])
    accuracy = {seed: (rng.random(ROWS) < right).astype(np.float64) for seed in range(seeds)}
    mrr = {seed: np.where(hits > 0, 1.0, rng.choice([0.5, 0.25], ROWS)) for seed, hits in accuracy.items()}
    return Credits(name=name, title=name.upper(), n_target=n_target, accuracy=accuracy, mrr=mrr)


FIRST, SECOND, THIRD = system("ml_ipd", 0.8), system("ml_dft", 0.6), system("pl_bl", 0.55)
SYSTEMS, COMPARISONS = language_records(
    PANEL, [FIRST, SECOND, THIRD], [(FIRST, SECOND), (FIRST, THIRD)], resamples=RESAMPLES
)


def records_of(task: str, lang: str) -> NDArray[np.int64]:
    return np.array([row for row in range(ROWS) if (PANEL.task[row], PANEL.lang[row]) == (task, lang)])


def language_mean(values: NDArray[np.float64], lang: str) -> float:
    """Each task one vote."""
    return float(np.mean([values[records_of(task, lang)].mean() for task, of in SIZES if of == lang]))


def mean_over(languages: list[str], values: NDArray[np.float64]) -> float:
    return float(np.mean([language_mean(values, lang) for lang in languages]))


def compare(first: Credits, second: Credits, panel: Panel = PANEL, resamples: int = RESAMPLES) -> LanguageComparison:
    """The comparison of accuracy."""
    return language_records(panel, [first, second], [(first, second)], resamples=resamples)[1][0]


def test_cells_hold_means_over_seeds_of_their_own_records() -> None:
    found = SYSTEMS[0]
    assert (found.name, found.title, found.n_target) == ("ml_ipd", "ML_IPD", 16)
    assert [(c.task, c.lang) for c in found.cells] == [
        ("topic", "en"), ("topic", "sw"), ("pair", "de"), ("topic", "de"), ("pair", "bg"),
    ]  # fmt: skip
    assert [c.resource for c in found.cells] == ["source", "low", "high", "high", "low"]
    for cell in found.cells:
        here = records_of(cell.task, cell.lang)
        assert cell.records == len(here) == SIZES[cell.task, cell.lang]
        assert cell.candidates == (5 if cell.task == "topic" else 4)
        for seed, of_seed in enumerate(cell.seeds):
            assert of_seed.seed == seed
            assert of_seed.accuracy == pytest.approx(FIRST.accuracy[seed][here].mean())
            assert of_seed.mrr == pytest.approx(FIRST.mrr[seed][here].mean())
        assert cell.accuracy.value == pytest.approx(np.mean([s.accuracy for s in cell.seeds]))
        assert cell.mrr.value == pytest.approx(np.mean([s.mrr for s in cell.seeds]))
        assert cell.accuracy.low < cell.accuracy.value < cell.accuracy.high


def test_macro_averages_give_each_target_language_one_vote_and_each_task_in_it_one() -> None:
    accuracy, mrr = (np.mean(list(by_seed.values()), axis=0) for by_seed in (FIRST.accuracy, FIRST.mrr))
    assert SYSTEMS[0].macro_accuracy.value == pytest.approx(mean_over(["sw", "de", "bg"], accuracy))
    assert SYSTEMS[0].macro_mrr.value == pytest.approx(mean_over(["sw", "de", "bg"], mrr))
    assert SYSTEMS[0].high_accuracy == pytest.approx(mean_over(["de"], accuracy))
    assert SYSTEMS[0].low_accuracy == pytest.approx(mean_over(["sw", "bg"], accuracy))


def test_no_low_resource_language_has_no_low_average() -> None:
    panel = Panel(PANEL.task, PANEL.lang, PANEL.candidates, "en", PANEL.languages)
    (found, _), (comparison, _) = language_records(panel, [FIRST, SECOND], [(FIRST, SECOND)], resamples=10)
    assert (found.low_accuracy, comparison.low_difference) == (None, None)
    assert found.high_accuracy == found.macro_accuracy.value


def test_differences_are_those_of_the_averages() -> None:
    assert [(c.second, c.metric) for c in COMPARISONS] == [
        ("ml_dft", "accuracy"), ("pl_bl", "accuracy"), ("ml_dft", "mrr"), ("pl_bl", "mrr"),
    ]  # fmt: skip
    for found in COMPARISONS:
        other = SECOND if found.second == "ml_dft" else THIRD
        d = np.mean([FIRST.by_seed(found.metric)[s] - other.by_seed(found.metric)[s] for s in range(4)], axis=0)
        assert found.macro.difference.value == pytest.approx(mean_over(["sw", "de", "bg"], d))
        assert found.high_difference == pytest.approx(mean_over(["de"], d))
        assert found.low_difference == pytest.approx(mean_over(["sw", "bg"], d))
        assert [language.lang for language in found.languages] == ["en", "sw", "de", "bg"]
        for language in found.languages:
            assert language.effect.difference.value == pytest.approx(language_mean(d, language.lang))


def test_bootstrap_agrees_with_one_that_draws_record_by_record() -> None:
    d = np.mean([FIRST.accuracy[s] - SECOND.accuracy[s] for s in range(4)], axis=0)
    rng = np.random.default_rng(5)
    cells = [records_of(task, lang) for task, lang in SIZES]
    votes = np.zeros(ROWS)  # each record's share in the macro average
    for (_, lang), rows in zip(SIZES, cells, strict=True):
        tasks = sum(of == lang for _, of in SIZES)
        votes[rows] = 0 if lang == "en" else 1 / 3 / tasks / len(rows)
    assert votes @ d == pytest.approx(mean_over(["sw", "de", "bg"], d))
    draws = []
    for _ in range(2000):
        resampled = np.empty(ROWS)
        for rows in cells:
            resampled[rows] = d[rng.choice(rows, len(rows))]
        draws.append(votes @ resampled)
    low, high = np.quantile(draws, [0.025, 0.975])
    found = COMPARISONS[0].macro.difference
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_p_value_of_the_exact_case() -> None:
    panel = Panel(["topic"] * 4, ["de"] * 4, [2] * 4, "en", ["de"])
    first, second = np.array([1.0, 1, 0, 0]), np.array([0.0, 0, 0, 1])  # differences 1, 1, 0, -1
    pair = [Credits(name, name, 0, {0: hits}, {0: hits}) for name, hits in (("a", first), ("b", second))]
    effect = compare(*pair, panel, resamples=40_000).macro
    assert effect.difference.value == 0.25
    assert effect.bootstrap_p_value == pytest.approx(0.75, abs=0.02)
    exact = [(first - second)[list(rows)].mean() for rows in itertools.product(range(4), repeat=4)]
    assert (effect.difference.low, effect.difference.high) == tuple(np.quantile(exact, [0.025, 0.975]))


def test_a_system_against_itself_differs_by_nothing() -> None:
    twin = Credits("twin", "Twin", 16, FIRST.accuracy, FIRST.mrr)
    found = compare(FIRST, twin)
    assert found.macro.bootstrap_p_value == 1
    assert (found.macro.difference.value, found.macro.difference.low) == pytest.approx((0, 0), abs=1e-12)
    assert (found.t_test, found.holm_p_value) == (None, None)
    for language in found.languages:
        assert (language.effect.bootstrap_p_value, language.t_test, language.holm_p_value) == (1, None, None)
        assert all(test.p_value == 1 for test in language.mcnemar)


def test_both_systems_are_resampled_alike() -> None:
    better = Credits("better", "", 16, {s: hits + 0.1 for s, hits in FIRST.accuracy.items()}, FIRST.mrr)
    difference = compare(better, FIRST).macro.difference
    assert (difference.low, difference.value, difference.high) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize("column", ["lang", "task"])
def test_tasks_and_languages_are_resampled_on_their_own(column: str) -> None:
    hits, four = np.tile([1.0, 1, 0, 1, 0, 0, 1, 0, 1, 1], 4), ["de", "fr", "it", "bg"]
    names, same = [name for name in four for _ in range(10)], ["de"] * 40
    task, lang = (same, names) if column == "lang" else (names, same)
    panel = Panel(task, lang, [2] * 40, "en", list(dict.fromkeys(lang)))
    (found,), _ = language_records(panel, [Credits("a", "", 0, {0: hits}, {0: hits})], [])
    width = found.macro_accuracy.high - found.macro_accuracy.low
    of_one = np.mean([cell.accuracy.high - cell.accuracy.low for cell in found.cells])
    assert width == pytest.approx(of_one / 2, rel=0.15)  # four independent cells of the same spread


def test_other_systems_and_languages_change_no_figure() -> None:
    alone = compare(FIRST, SECOND)
    np.testing.assert_allclose(
        [alone.macro.difference.low, alone.macro.difference.high],
        [COMPARISONS[0].macro.difference.low, COMPARISONS[0].macro.difference.high],
    )
    keep = np.flatnonzero(LANG != "bg")
    panel = Panel(TASK[keep].tolist(), LANG[keep].tolist(), [2] * len(keep), "en", ["de", "sw"])
    fewer = [
        Credits(s.name, "", 16, *({k: v[keep] for k, v in m.items()} for m in (s.accuracy, s.mrr)))
        for s in (FIRST, SECOND)
    ]
    german = {d.lang: d.effect for d in compare(*fewer, panel).languages}["de"]
    expected = {d.lang: d.effect for d in COMPARISONS[0].languages}["de"]
    assert (german.difference.low, german.difference.high) == pytest.approx(
        (expected.difference.low, expected.difference.high)
    )


def test_t_tests_are_over_languages_and_seeds() -> None:
    d = {
        lang: [language_mean(FIRST.accuracy[s] - SECOND.accuracy[s], lang) for s in range(4)]
        for lang in ("en", "sw", "de", "bg")
    }
    found = COMPARISONS[0]
    everything = paired_t([x for lang in ("sw", "de", "bg") for x in d[lang]])
    assert everything is not None
    assert found.t_test is not None
    assert found.t_test.degrees_of_freedom == 11
    assert (found.t_test.t, found.t_test.p_value) == pytest.approx((everything.t, everything.p_value))
    assert (found.t_test.low, found.t_test.high) == pytest.approx((everything.low, everything.high))
    for language in found.languages:
        expected = paired_t(d[language.lang])
        assert expected is not None
        assert language.t_test is not None
        assert (language.t_test.mean, language.t_test.p_value) == pytest.approx((expected.mean, expected.p_value))


def test_holm_is_over_target_languages_and_over_comparisons_of_a_metric() -> None:
    for found in COMPARISONS:
        english, *targets = found.languages
        assert english.holm_p_value is None
        p_values = [d.t_test.p_value if d.t_test else None for d in targets]
        assert [d.holm_p_value for d in targets] == holm(p_values)
    for metric in ("accuracy", "mrr"):
        of_metric = [c for c in COMPARISONS if c.metric == metric]
        assert len(of_metric) == 2
        assert [c.holm_p_value for c in of_metric] == holm([c.t_test.p_value if c.t_test else None for c in of_metric])


def test_mcnemar_counts_all_tasks_of_a_language_by_seed() -> None:
    a, b = np.zeros(ROWS), np.zeros(ROWS)
    german = np.flatnonzero(LANG == "de")
    assert len({TASK[row] for row in german[[5, 45]]}) == 2
    a[german[:12]], b[german[-3:]] = 1, 1
    a[german[20:30]] = 0.5  # a tie of two is not right
    first, second = (Credits(name, "", 0, {7: hits, 8: b}, {7: hits, 8: b}) for name, hits in (("a", a), ("b", b)))
    german_tests = {d.lang: d.mcnemar for d in compare(first, second, resamples=10).languages}["de"]
    assert [(t.seed, t.only_first_right, t.only_second_right) for t in german_tests] == [(7, 12, 3), (8, 0, 0)]
    assert german_tests[0].p_value == pytest.approx(0.035156, abs=1e-6)
    assert all(not d.mcnemar for c in COMPARISONS if c.metric == "mrr" for d in c.languages)


def test_a_system_of_one_seed_meets_every_seed_of_the_other() -> None:
    english = system("english_model", 0.7, seeds=1, n_target=0)
    found = compare(FIRST, english)
    assert found.t_test is not None
    assert found.t_test.degrees_of_freedom == 11
    assert found.t_test.mean == pytest.approx(found.macro.difference.value)
    assert (found.first, found.second, found.n_target) == ("ml_ipd", "english_model", 16)


def test_refuses_seeds_that_do_not_match() -> None:
    with pytest.raises(DataError, match=r"ml_ipd and ml_dft .* have seeds \[0, 1, 2, 3\] and \[0, 1, 2\]"):
        compare(FIRST, system("ml_dft", 0.5, seeds=3))


def test_refuses_languages_without_records_and_records_of_no_language() -> None:
    with pytest.raises(DataError, match="no test records in fr; there are some in bg, de, en, sw"):
        Panel(PANEL.task, PANEL.lang, PANEL.candidates, "en", ["de", "sw", "bg", "fr"])
    with pytest.raises(DataError, match="test records in bg, which is neither source nor target"):
        Panel(PANEL.task, PANEL.lang, PANEL.candidates, "en", ["de", "sw"])


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
    first = replace(system("ml_ipd", 0.8, seeds=2), ndcg=ndcg, spans=spans)
    worse = replace(
        system("ml_dft", 0.6, seeds=2), ndcg={s: v / 2 for s, v in ndcg.items()},
        spans={s: v * [0.5, 1, 1] for s, v in spans.items()},
    )  # fmt: skip
    found, halved, plain = language_records(PANEL, [first, worse, THIRD], [], resamples=RESAMPLES)[0]
    cells = {(cell.task, cell.lang): cell for cell in found.cells}
    assert [key for key, cell in cells.items() if cell.ndcg] == [("topic", "de")]
    assert [key for key, cell in cells.items() if cell.span_f1] == [("pair", "bg")]
    figure, f1 = cells["topic", "de"].ndcg, cells["pair", "bg"].span_f1
    assert figure is not None
    assert f1 is not None
    assert figure.value == pytest.approx(np.mean([values[here[::3]].mean() for values in ndcg.values()]))
    sums = [counts[there].sum(axis=0) for counts in spans.values()]
    assert f1.value == pytest.approx(np.mean([2 * right / (called + true) for right, called, true in sums]))
    spread = np.mean(list(ndcg.values()), axis=0)[here[::3]].std() / np.sqrt(len(here[::3]))
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert f1.low < f1.value < f1.high
    for ours, theirs in zip(found.cells, halved.cells, strict=True):
        for a, b in ((ours.ndcg, theirs.ndcg), (ours.span_f1, theirs.span_f1)):
            assert (b is None) == (a is None)
            assert b is None or (b.value, b.low, b.high) == pytest.approx((a.value / 2, a.low / 2, a.high / 2))
    assert not any(cell.ndcg or cell.span_f1 for cell in plain.cells)


def test_there_is_no_f1_without_entities() -> None:
    spans = np.full((ROWS, 3), np.nan)
    spans[records_of("pair", "bg")] = (0, 1, 0)
    (found,), _ = language_records(PANEL, [replace(FIRST, spans={0: spans})], [], resamples=10)
    assert not any(cell.span_f1 for cell in found.cells)


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
    panel = Panel([r.task for r in records], [r.lang for r in records], [2] * len(records), "en", ["de", "sw"])
    assert always_the_most_frequent(panel, records) == pytest.approx(((3 / 4 + 2 / 3) / 2 + 1 / 2) / 2)


def test_chance_stands_in_where_records_bring_their_own_candidates() -> None:
    records = [record("de", "find", (0,), ("a", "b", "c", "d")), record("de", "find", (1, 2), ("e", "f", "g"))]
    panel = Panel(["find"] * 2, ["de"] * 2, [4, 3], "en", ["de"])
    assert always_the_most_frequent(panel, records) == pytest.approx((1 / 4 + 2 / 3) / 2)
