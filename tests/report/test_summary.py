"""The few figures on top."""

from __future__ import annotations

import pytest
from tests.report.conftest import changed
from tests.report.simple import with_simple

from limbeck.formatting import MINUS, TIMES
from limbeck.report.blocks import keys_of, report_blocks
from limbeck.report.summary import key_figures
from limbeck.results.record import Results
from limbeck.results.sections import Retention, Speeds


def titled(results: Results) -> dict[str, str]:
    return {figure.title: figure.value for figure in key_figures(results)}


def of_metric(results: Results, system: str, metric: str, **fields: object) -> Results:
    """The record with one figure of the whole changed."""
    figures = [
        figure.model_copy(update=fields)
        if (figure.system, figure.metric, figure.slice) == (system, metric, {})
        else figure
        for figure in results.figures
    ]
    return changed(results, figures=figures)


def test_what_was_kept_and_what_it_cost(records: dict[str, Results]) -> None:
    assert titled(records["classification"]) == {
        "of the teacher's accuracy kept": "96.9 %",
        "accuracy, against training without the teacher": "+1.9 points",
        "smaller": f"2.4 {TIMES}",
        "faster": f"3.9 {TIMES}",
        "of training in all": "1 h 27 min",
    }
    kept, gain, size, speed, time = key_figures(records["generation"])
    retention = records["generation"].section(Retention)
    assert retention
    share = next(one for one in retention.kept if (one.system, one.metric) == ("distilled", "rouge_l"))
    assert (kept.value, kept.title) == (f"{share.kept.value * 100:.1f} %", "of the teacher's ROUGE-L kept")
    assert "95 % interval 81.3 to 85.1 %" in kept.detail
    assert gain.title == "ROUGE-L, against training without the teacher"
    assert gain.detail == "Fine-tuned; 95 % interval +12.3 to +16.6, p < 0.001; not tuned separately"
    assert (size.title, speed.title, speed.value) == ("smaller", "faster", f"4.6 {TIMES}")
    assert time.detail.endswith("3 seeds")


def test_a_student_without_labels_is_about_agreement(records: dict[str, Results]) -> None:
    results = changed(records["classification"], headline="agreement")
    first = key_figures(results)[0]
    assert (first.value, first.title) == ("92.3 %", "agreement with teacher")


def test_where_less_is_better_and_nothing_was_kept_the_value_itself_is_shown(records: dict[str, Results]) -> None:
    results = changed(records["generation"], headline="nll", sections=[])
    first = key_figures(results)[0]
    assert first.title == "loss per token"
    assert "the teacher " in first.detail


def test_a_student_larger_than_its_teacher_is_called_larger(records: dict[str, Results]) -> None:
    results = records["classification"]
    speeds = results.section(Speeds)
    assert speeds
    tiny = speeds.systems["teacher"].model_copy(update={"size_bytes": 18_310_000, "latency_ms_median": 0.0})
    found = titled(changed(results, sections=[Speeds(systems={**speeds.systems, "teacher": tiny})]))
    assert found["larger"] == f"10.0 {TIMES}"
    assert not {"faster", "slower"} & set(found)


def test_a_student_no_better_than_one_answer_is_not_headed_by_what_it_keeps(records: dict[str, Results]) -> None:
    results = records["classification"]
    compared = [
        c.model_copy(update={"tests": [t.model_copy(update={"p_value": 0.5}) for t in c.tests]})
        if c.second == "constant"
        else c
        for c in results.comparisons
    ]
    first = key_figures(changed(results, comparisons=compared))[0]
    assert first.title == "accuracy; not shown to be better than always the most frequent label"
    assert (first.value, first.detail) == ("90.3 %", "which has 1.3 %")


def test_a_teacher_that_knows_no_more_teaches_nothing(records: dict[str, Results]) -> None:
    first = key_figures(of_metric(records["classification"], "student_init", "accuracy", value=0.92))[0]
    assert first.title == "accuracy; the teacher does not lead the untrained student"
    assert first.detail == "the teacher 93.2 %, the untrained student 92.0 %"


def test_the_gain_over_the_best_simple_baseline(records: dict[str, Results]) -> None:
    first, gain, *_ = key_figures(with_simple(records["classification"]))
    assert first.title == "of the teacher's accuracy kept"
    assert (gain.value, gain.title) == ("+5.3 points", "accuracy, against the best simple baseline")
    assert gain.detail == "Frozen embeddings + logistic regression; 95 % interval +3.3 to +7.3, p = 0.001"


@pytest.mark.parametrize(("tfidf", "p_value"), [(0.92, 0.001), (0.903, 0.9), (0.89, 0.3)])
def test_a_student_no_better_than_a_simple_baseline_is_not_headed_by_what_it_keeps(
    tfidf: float, p_value: float, records: dict[str, Results]
) -> None:
    first, *others = key_figures(with_simple(records["classification"], tfidf=tfidf, p_value=p_value))
    assert first.title == "accuracy; not shown to be better than TF-IDF + logistic regression"
    assert (first.value, first.detail) == ("90.3 %", f"which has {tfidf * 100:.1f} %")
    assert not any("simple baseline" in figure.title for figure in others)


@pytest.mark.parametrize("system", ["fine_tune", "tfidf"])
def test_a_teacher_that_others_match_is_not_headed_by_what_is_kept(system: str, records: dict[str, Results]) -> None:
    results = with_simple(records["classification"])
    name = {"fine_tune": "fine-tuned", "tfidf": "TF-IDF + logistic regression"}[system]
    first = key_figures(of_metric(results, system, "accuracy", value=0.95))[0]
    assert first.title == "accuracy; the teacher is no better than what learned without it"
    assert (first.value, first.detail) == ("90.3 %", f"the teacher 93.2 %, {name} 95.0 %")


def test_nothing_measured_gives_no_key_figure(bare: dict[str, Results]) -> None:
    assert key_figures(bare["classification"]) == []


def test_across_languages_they_are_those_of_the_largest_budget(records: dict[str, Results]) -> None:
    results = records["ranking"]
    found = keys_of(results, report_blocks(results))
    assert {figure.title: figure.value for figure in found} == {
        "macro accuracy of ML-IPD": "76.1 %",
        "English model on English": "82.8 %",
        "macro accuracy of the best other system": "75.4 %",
        "of the accuracy on English kept": "87.7 %",
        "of device time for ML-IPD": "1.32 h",
    }
    macro, _, best, kept, cost = (figure.detail for figure in found)
    assert macro == "3 languages, 16 labels for each task and language; 95 % interval 74.9 to 77.3 %"
    assert best == f"Transfer; ML-IPD has +0.8 points (95 % interval {MINUS}0.1 to +1.7)"
    assert kept == "least in Swahili: 68.2 %"
    assert cost.startswith("including the teacher's 0.41 h")
    alone = changed(results, comparisons=[])
    assert keys_of(alone, report_blocks(alone))[2].detail == "Transfer; ML-IPD has +0.8 points"


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_across_languages_one_answer_to_everything_may_be_as_good(share: float, records: dict[str, Results]) -> None:
    results = of_metric(records["ranking"], "constant", "accuracy", value=share)
    titles = [figure.title for figure in keys_of(results, report_blocks(results))]
    assert any(title.endswith("kept") for title in titles) == (share < 0.7)
    assert any("is not shown to be better" in title for title in titles) == (share > 0.7)


def test_across_languages_what_cannot_be_said_is_left_out(bare: dict[str, Results]) -> None:
    results = bare["ranking"]
    titles = [figure.title for figure in keys_of(results, report_blocks(results))]
    assert titles == ["macro accuracy of ML-IPD"]
