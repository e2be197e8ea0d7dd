"""The sentences, for students that are better, worse, and neither."""

from __future__ import annotations

import pytest

from limbeck.evaluation.generation.verdict import generation_verdict, outcome
from limbeck.generation_results import (
    GenerationComparison,
    GenerationFigures,
    GenerationMetric,
    GenerationSeed,
    GenerationSpeed,
    GenerationSystem,
    OneAnswer,
    Retention,
    WrittenText,
)
from limbeck.results import Interval, StageCost, SystemName


def interval(value: float, half: float = 0.01) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def system(name: SystemName, rouge: float | None, perplexity: float | None, *, seeds: int = 3, scale: float = 1.0,
           cut_off: float = 0.0, empty: float = 0.0, repeated: float = 0.0) -> GenerationSystem:  # fmt: skip
    return GenerationSystem(
        name=name,
        title=name,
        detail="",
        nll_nats=None,
        nll_by_row_nats=None,
        perplexity=None if perplexity is None else interval(perplexity),
        kl_to_teacher_nats=None,
        agreement=None,
        rouge_l=None if rouge is None else interval(rouge),
        exact_match=None,
        numeric_match=None,
        written=WrittenText(
            words=interval(9), repeated_4_grams=interval(repeated), distinct_1=0.1, distinct_2=0.2,
            cut_off=interval(cut_off), empty=interval(empty),
        ),
        seeds=[
            GenerationSeed(seed=s, nll_nats=None, perplexity=None, kl_to_teacher_nats=None, agreement=None,
                           rouge_l=None, exact_match=None, numeric_match=None)
            for s in range(seeds)
        ],
        speed=GenerationSpeed(
            parameters=int(1000 * scale), size_bytes=1, tokens_per_second=100 / scale, batch_size=8,
            peak_memory_bytes=1,
        ),
    )  # fmt: skip


def against(
    value: float, half: float, *, metric: GenerationMetric = "rouge_l", t_test: float | None = None, seeds: int = 3
) -> GenerationComparison:
    return GenerationComparison(
        first="distilled",
        second="fine_tuned",
        metric=metric,
        difference=interval(value, half),
        bootstrap_p_value=0.004,
        per_seed_difference=[value] * seeds,
        t_test_p_value=t_test,
    )


TEACHER, STUDENT = system("teacher", 0.25, 10.0, seeds=1), system("distilled", 0.2, 12.5, scale=0.25)
PLAIN = system("fine_tuned", 0.19, 30022.0)


def figures(*systems: GenerationSystem, comparisons: list[GenerationComparison] | None = None) -> GenerationFigures:
    return GenerationFigures(
        headline="rouge_l",
        systems=list(systems),
        comparisons=comparisons or [],
        retention=[
            Retention(system="distilled", metric="rouge_l", kept=interval(0.8, 0.04)),
            Retention(system="distilled", metric="perplexity", kept=interval(0.8, 0.04)),
            Retention(system="fine_tuned", metric="rouge_l", kept=interval(0.1, 0.04)),
        ],
        samples=[],
        warnings=[],
    )


SETTLED, OPEN = "Distilling {} plain fine-tuning on the same budget", (
    "It is not settled whether distilling beats plain fine-tuning on the same budget"
)  # fmt: skip


NOT_TUNED = (
    "That student had the learning rate and the number of steps of the distilled one; it was not tuned for itself."
)


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        (
            against(0.012, 0.008, t_test=0.02),
            SETTLED.format("beat") + ": +1.2 points of ROUGE-L (95 % interval +0.4 to +2.0, p = 0.004 over rows, "
            "p = 0.020 over 3 seeds).",
        ),
        (
            against(-0.012, 0.008, seeds=1),
            SETTLED.format("was worse than") + ": −1.2 points of ROUGE-L (95 % interval −2.0 to −0.4, p = 0.004 over "
            "rows).",
        ),
        (
            against(0.003, 0.007, t_test=0.001),
            OPEN + ": +0.3 points of ROUGE-L (95 % interval −0.4 to +1.0, which holds 0, p = 0.004 over rows).",
        ),
        (
            against(0.012, 0.008, t_test=0.2),
            OPEN + ": +1.2 points of ROUGE-L (95 % interval +0.4 to +2.0, p = 0.004 over rows, but p = 0.20 over "
            "3 seeds).",
        ),
        (
            against(0.0, 0.0),
            OPEN + ": 0.0 points of ROUGE-L (95 % interval 0.0 to 0.0, which holds 0, p = 0.004 over rows).",
        ),
    ],
    ids=["better", "worse", "rows", "seeds", "tie"],
)
def test_against_fine_tuning(comparison: GenerationComparison, said: str) -> None:
    sentences = generation_verdict(figures(TEACHER, PLAIN, STUDENT, comparisons=[comparison]), [])
    assert [s for s in sentences if "fine-tuning" in s] == [said]
    assert sentences[sentences.index(said) + 1] == NOT_TUNED


@pytest.mark.parametrize(("value", "expected"), [(-0.3, "better"), (0.3, "worse"), (0.05, "rows")])
@pytest.mark.parametrize("metric", ["nll_nats", "kl_to_teacher_nats"])
def test_less_loss_is_better(metric: GenerationMetric, value: float, expected: str) -> None:
    assert outcome(against(value, 0.1, metric=metric)) == expected
    other = {"better": "worse", "worse": "better", "rows": "rows"}[expected]
    assert outcome(against(value, 0.1, metric="agreement")) == other


def test_perplexity_and_fidelity_are_said_after_the_headline() -> None:
    comparisons = [
        against(0.01, 0.02),
        against(-0.25, 0.05, metric="nll_nats", t_test=0.01),
        against(0.25, 0.05, metric="kl_to_teacher_nats"),
    ]
    sentences = generation_verdict(figures(TEACHER, PLAIN, STUDENT, comparisons=comparisons), [])
    assert sentences[2].startswith("It is not settled")
    assert sentences[3] == NOT_TUNED
    assert sentences[4] == (
        "By perplexity (12.5 against 30,022): distilling beat plain fine-tuning on the same budget: −0.250 nats per "
        "token of loss on the references (95 % interval −0.300 to −0.200, p = 0.004 over rows, p = 0.010 over "
        "3 seeds)."
    )
    assert sentences[5].startswith("The distilled student is further from its teacher than the fine-tuned one: +0.250")


def test_what_was_kept_and_what_it_costs() -> None:
    costs = [
        StageCost(stage="a", system=name, seed=seed, seconds=seconds, steps=1, rows_seen=1, tokens_seen=1,
                  peak_memory_bytes=1)
        for name, seconds in (("distilled", 60.0), ("distilled", 30.0), ("fine_tuned", 45.0))
        for seed in (0, 1, 2)
    ]  # fmt: skip
    assert generation_verdict(figures(TEACHER, PLAIN, STUDENT), costs) == [
        "The student keeps 80.0 % (95 % interval 76.0 to 84.0 %) of the teacher's ROUGE-L (20.0 % against 25.0 %).",
        "On the held-out references the student's perplexity is 12.5, the teacher's 10.",
        "There is no student fine-tuned on the same budget, so no gain can be put down to distilling.",
        "The student has 25 % of the teacher's parameters and writes 4.0 times as many tokens per second.",
        "Distilling took 90 s for each seed, 2.0 times as long as fine-tuning on the same budget.",
    ]


@pytest.mark.parametrize(("seeds", "words"), [(1, "One training seed: "), (2, "Two training seeds: "), (3, None)])
def test_few_seeds_are_said_to_cover_little(seeds: int, words: str | None) -> None:
    last = generation_verdict(figures(system("distilled", 0.2, 12.5, seeds=seeds)), [])[-1]
    assert last.startswith(words) if words else "seed" not in last
    if words:
        assert "What another seed would have given is not covered" in last


def test_trouble_in_the_texts_is_named_where_it_is_more_than_the_teachers() -> None:
    student = system("distilled", 0.2, 12.5, cut_off=0.3, empty=0.04, repeated=0.25)
    teacher = system("teacher", 0.25, 10.0, cut_off=0.24, repeated=0.22)
    sentences = generation_verdict(figures(teacher, student), [])
    assert [s for s in sentences if s.startswith("Its answers")] == [
        "Its answers were cut off by the limit of tokens: 30.0 %, the teacher's 24.0 %."
    ]


def test_plain_text_is_judged_by_perplexity() -> None:
    record = figures(TEACHER, PLAIN, STUDENT, comparisons=[against(-0.2, 0.1, metric="nll_nats")])
    record = record.model_copy(update={"headline": "nll_nats", "retention": []})
    sentences = generation_verdict(record, [])
    assert sentences[:2] == [
        "On the held-out references the student's perplexity is 12.5, the teacher's 10 (of other tokens: not "
        "comparable).",
        "Distilling beat plain fine-tuning on the same budget: −0.200 nats per token of loss on the references "
        "(95 % interval −0.300 to −0.100, p = 0.004 over rows).",
    ]


def with_one_answer(difference: float, p_value: float = 0.004) -> GenerationFigures:
    """A student with 20.0 % of ROUGE-L beside an answer with so much less."""
    found = figures(TEACHER, STUDENT, comparisons=[against(difference, 0.01)])
    comparison = found.comparisons[0].model_copy(update={"second": "most_frequent", "bootstrap_p_value": p_value})
    answer = OneAnswer(
        answer="card arrival", rows=12, of_rows=40, rouge_l=interval(0.2 - difference), exact_match=None,
        numeric_match=None,
    )  # fmt: skip
    return found.model_copy(update={"comparisons": [comparison], "one_answer": answer})


@pytest.mark.parametrize(("difference", "p_value"), [(0.005, 0.2), (-0.05, 0.001), (0.02, 0.06)])
def test_a_student_that_one_answer_could_stand_in_for_keeps_nothing(difference: float, p_value: float) -> None:
    sentences = generation_verdict(with_one_answer(difference, p_value), [])
    assert sentences[0] == (
        "The student is not shown to be better than always answering 'card arrival': it has 20.0 % of ROUGE-L, that "
        f"answer {20 - 100 * difference:.1f} %, the teacher 25.0 %."
    )
    assert not any("keeps" in sentence for sentence in sentences)


def test_what_is_kept_stands_beside_what_one_answer_is_worth() -> None:
    sentences = generation_verdict(with_one_answer(0.15), [])
    assert sentences[0].startswith("The student keeps 80.0 %")
    assert sentences[1] == "Always answering 'card arrival' has 5.0 %."
