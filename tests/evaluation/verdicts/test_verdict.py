"""The sentences, for students that are better, worse and neither."""

from __future__ import annotations

import pytest
from tests.evaluation.verdicts.records import comparison, cost, figure, record, speed

from limbeck.evaluation.verdicts.verdict import verdict
from limbeck.results.figures import Comparison, Figure, Interval
from limbeck.results.record import Results
from limbeck.results.sections import Kept, Retention, Search, SimpleBaselines, SimpleFit

TEACHER, STUDENT = figure("teacher", 0.8), figure("distilled", 0.76)
PLAIN = figure("fine_tune", 0.7)
KEPT = Retention(
    kept=[
        Kept(system="distilled", metric=metric, kept=Interval(value=0.95, low=0.91, high=0.99))
        for metric in ("accuracy", "rouge_l")
    ]
)


def said(figures: list[Figure], comparisons: list[Comparison] | None = None, **more: object) -> list[str]:
    return verdict(record(figures, comparisons or [], **more))  # type: ignore[arg-type]


NO_CONTROL = "No student was trained without the teacher on the same budget, so no gain can be attributed to it."
NOT_TUNED = (
    "That student used the learning rate and number of steps of the distilled one; it was not tuned separately."
)
PAIR = ("The distilled student", "the fine-tuned student")


@pytest.mark.parametrize(
    ("compared", "words", "figures"),
    [
        (comparison("fine_tune", 0.034, 0.001), "{} beat {}", "(95 % interval +2.4 to +4.4, p = 0.001 over rows)"),
        (comparison("fine_tune", -0.034, 0.001), "{} was worse than {}",
         "(95 % interval −4.4 to −2.4, p = 0.001 over rows)"),
        (comparison("fine_tune", -0.034, 0.05), "There is no significant difference between {} and {}",
         "p = 0.050 over rows)"),
        (comparison("fine_tune", 0.034, 0.001, over_seeds=0.02), "{} beat {}", "p = 0.020 over 3 seeds)"),
        (comparison("fine_tune", 0.034, 0.001, over_seeds=0.2),
         "It is not settled whether {} differs from {}, since one test says so and one does not",
         "(95 % interval +2.4 to +4.4, p = 0.001 over rows, p = 0.20 over 3 seeds)"),
        (comparison("fine_tune", 0.034, 0.3, over_seeds=0.02),
         "It is not settled whether {} differs from {}, since one test says so and one does not", "seeds)"),
    ],
)  # fmt: skip
def test_against_the_control(compared: Comparison, words: str, figures: str) -> None:
    sentences = said([TEACHER, STUDENT, PLAIN], [compared])
    ours, other = PAIR if words.startswith("{}") else ("the distilled student", PAIR[1])
    assert sentences[1].startswith(f"{words.format(ours, other)} on the same budget: ")
    assert f"{compared.value * 100:+.1f} points of accuracy".replace("-", "−") in sentences[1]
    assert sentences[1].endswith(f"{figures}.")
    assert sentences[2] == NOT_TUNED


@pytest.mark.parametrize(
    ("rows_seen", "words"), [(2909, "29 passes"), (100, "1 pass"), (253, "2.5 passes"), (996, "10 passes")]
)
def test_how_often_the_control_read_its_rows(rows_seen: int, words: str) -> None:
    sentences = said(
        [TEACHER, STUDENT], [comparison("fine_tune", 0.034, 0.001)], costs=[cost("fine_tune", 1, rows_seen=rows_seen)],
        labelled=100,
    )  # fmt: skip
    assert sentences[2] == (
        f"That student used the learning rate and number of steps of the distilled one ({words} over the labelled "
        "rows); it was not tuned separately."
    )


def test_a_control_that_was_tuned_is_not_excused() -> None:
    search = Search(metric="accuracy", rows=10, trials=[])
    sentences = said([TEACHER, STUDENT], [comparison("fine_tune", 0.034, 0.001)], sections=[search])
    assert not any("not tuned" in sentence for sentence in sentences)


def test_every_baseline_is_spoken_of() -> None:
    both = [comparison("fine_tune", 0.034, 0.001), comparison("pkd", -0.01, 0.4)]
    sentences = said([TEACHER, STUDENT], both)
    assert [s.split(" on the same budget")[0] for s in sentences if "on the same budget" in s] == [
        "The distilled student beat the fine-tuned student",
        "There is no significant difference between the distilled student and PKD",
    ]
    assert NO_CONTROL in said([TEACHER, STUDENT], both[1:])


def test_what_was_kept_and_what_it_costs() -> None:
    speeds = {"teacher": speed(), "distilled": speed(0.25)}
    costs = [cost(*named, seed) for named in (("distilled", 60.0), ("distilled", 30.0), ("fine_tune", 45.0))
             for seed in (0, 1)]  # fmt: skip
    assert said([TEACHER, STUDENT, PLAIN], speeds=speeds, costs=costs, sections=[KEPT]) == [
        "The student keeps 95.0 % (95 % interval 91.0 to 99.0 %) of the teacher's accuracy (76.0 % against 80.0 %).",
        "The student has 25 % of the teacher's parameters, answers one text in 2.50 ms instead of 10.0 ms, and "
        "processes 4.0 times as many rows per second.",
        "Distilling took 1 min 30 s per seed, 2.0 times as long as the fine-tuned student.",
    ]


def test_a_student_alone() -> None:
    assert said([STUDENT], speeds={"distilled": speed()}, seeds=[0]) == [
        "The student's accuracy is 76.0 %; the teacher's on the same rows is not known.",
        NO_CONTROL,
        "The student has 1.0 k parameters, answers one text in 10.0 ms, and processes 50 rows per second.",
        "One training seed: the intervals are over held-out rows. They do not cover the variation between seeds; "
        "that takes three or more seeds (seeds: [0, 1, 2]).",
    ]
    assert said([], systems=record([STUDENT]).systems)[0].endswith("nothing can be said about the student.")
    assert verdict(record([TEACHER])) == []


def test_without_labels_it_speaks_of_fidelity() -> None:
    sentences = said([figure("distilled", 0.9, "agreement")], headline="agreement")
    assert sentences[0] == (
        "The held-out rows have no labels, so only fidelity can be measured: the student's agreement with the teacher "
        "is 90.0 %."
    )


def test_a_teacher_that_is_never_right_has_nothing_to_keep() -> None:
    sentences = said([figure("teacher", 0.0), STUDENT])
    assert sentences[0] == "The student's accuracy is 76.0 %, the teacher's 0.0 %."


@pytest.mark.parametrize("before", [0.84, 0.8, 0.785])
def test_a_teacher_that_does_not_lead_comes_first_and_no_share_of_it_is_praised(before: float) -> None:
    sentences = said([TEACHER, figure("student_init", before), figure("distilled", 0.9)], sections=[KEPT])
    assert sentences[0] == (
        "The teacher does not lead: its accuracy is 80.0 %, the untrained student's "
        f"{before * 100:.1f} %. A teacher that does not lead by 2 points teaches its errors too. The student's is "
        "90.0 %."
    )
    assert not any("keeps" in sentence for sentence in sentences)


def test_a_teacher_that_leads_by_two_points_is_what_is_kept() -> None:
    sentences = said([TEACHER, figure("student_init", 0.78), STUDENT], sections=[KEPT])
    assert sentences[0].startswith("The student keeps 95.0 %")


def test_what_is_kept_stands_beside_what_one_answer_is_worth() -> None:
    compared = [comparison("constant", 0.46, 0.001)]
    sentences = said([TEACHER, STUDENT, figure("constant", 0.3)], compared, sections=[KEPT])
    assert sentences[0].startswith("The student keeps 95.0 %")
    assert sentences[1] == "Always giving one answer would reach 30.0 % accuracy."


@pytest.mark.parametrize(("accuracy", "p_value"), [(0.28, 0.001), (0.3, 0.9), (0.33, 0.06)])
@pytest.mark.parametrize("teacher", [0.8, None])
def test_a_student_at_chance_keeps_nothing(accuracy: float, p_value: float, teacher: float | None) -> None:
    """A student that has 35 % of the teacher's accuracy, which one label for all rows has too."""
    figures = [figure("distilled", accuracy), figure("constant", 0.3)]
    figures += [figure("teacher", teacher)] if teacher else []
    sentences = said(figures, [comparison("constant", accuracy - 0.3, p_value)], sections=[KEPT])
    assert sentences[0] == (
        "The student is not shown to be better than always giving one answer ('card arrival', which 3 of 10 rows "
        f"are): its accuracy is {accuracy * 100:.1f} %, that of one answer 30.0 %"
        f"{', the teacher' + chr(39) + 's 80.0 %' if teacher else ''}."
    )
    assert not any("keeps" in sentence for sentence in sentences)


def test_a_teacher_and_a_student_at_chance_are_both_said() -> None:
    figures = [figure(name, value) for name, value in
               (("teacher", 0.31), ("student_init", 0.3), ("distilled", 0.3), ("constant", 0.3))]  # fmt: skip
    sentences = said(figures, [comparison("constant", 0.0, 0.9)], sections=[KEPT])
    assert sentences[0].startswith("The student is not shown to be better")
    assert sentences[1].startswith("The teacher does not lead")
    assert not any("keeps" in sentence for sentence in sentences)


def test_a_student_beside_labels_that_were_given() -> None:
    compared = [comparison("teacher", 0.03, 0.001)]
    sentences = said([TEACHER, STUDENT], compared, speeds={"distilled": speed()})
    assert (
        "Against the gold labels, the student beat the teacher's own labels: +3.0 points of accuracy (95 % interval "
        "+2.0 to +4.0, p = 0.001 over rows)."
    ) in sentences
    with_model = said([TEACHER, STUDENT], compared, speeds={"distilled": speed(), "teacher": speed()})
    assert not any("own labels" in sentence for sentence in with_model)


def writers(*comparisons: Comparison, **more: object) -> Results:
    values = {"teacher": (0.25, 10.0), "distilled": (0.2, 12.5), "fine_tune": (0.19, 30022.0)}
    figures = [
        figure(name, value, metric)
        for name, both in values.items()
        for metric, value in zip(("rouge_l", "perplexity"), both, strict=True)
    ]
    return record(figures, comparisons, headline="rouge_l", sections=[KEPT], **more)  # type: ignore[arg-type]


def test_students_that_write_are_judged_by_likelihood_and_closeness_too() -> None:
    sentences = verdict(
        writers(
            comparison("fine_tune", 0.01, 0.3, "rouge_l", half=0.02),
            comparison("fine_tune", -0.25, 0.004, "nll", half=0.05, over_seeds=0.01),
            comparison("fine_tune", 0.25, 0.004, "kl", half=0.05),
            comparison("teacher", 0.2, 0.004, "nll"),
        )
    )
    assert sentences[0].startswith("The student keeps 95.0 % (95 % interval 91.0 to 99.0 %) of the teacher's ROUGE-L")
    assert sentences[1] == "On the held-out references the student's perplexity is 12.5, the teacher's 10.0."
    assert sentences[2].startswith("There is no significant difference")
    assert sentences[3] == NOT_TUNED
    assert sentences[4] == (
        "The distilled student beat the fine-tuned student on the same budget: −0.250 nats of loss per token (95 % "
        "interval −0.300 to −0.200, p = 0.004 over rows, p = 0.010 over 3 seeds)."
    )
    assert sentences[5].startswith("The distilled student was worse than the fine-tuned student on the same budget: "
                                   "+0.250 nats of KL")  # fmt: skip


def test_perplexities_of_other_tokens_are_not_compared() -> None:
    assert verdict(writers())[1] == (
        "On the held-out references the student's perplexity is 12.5, the teacher's 10.0 (over different tokens: not "
        "comparable)."
    )


def test_speed_of_students_that_write() -> None:
    speeds = {"teacher": speed(tokens=True), "distilled": speed(0.25, tokens=True)}
    assert (
        "The student has 25 % of the teacher's parameters, and writes 4.0 times as many tokens per second."
    ) in verdict(writers(speeds=speeds))


def test_trouble_in_the_answers_is_named_where_it_is_more_than_the_teachers() -> None:
    figures = [figure(*of) for of in (
        ("distilled", 0.3, "cut_off"), ("teacher", 0.24, "cut_off"), ("distilled", 0.04, "empty"),
        ("teacher", 0.0, "empty"), ("distilled", 90.0, "words"), ("teacher", 3.0, "words"),
    )]  # fmt: skip
    sentences = said([TEACHER, STUDENT, *figures])
    assert [s for s in sentences if s.startswith("Trouble")] == [
        "Trouble with its answers: cut off 30.0 %, the teacher's 24.0 %."
    ]


@pytest.mark.parametrize(("seeds", "words"), [(1, "One training seed: "), (2, "Two training seeds: "), (3, None)])
def test_few_seeds_are_said_to_cover_little(seeds: int, words: str | None) -> None:
    last = said([STUDENT], seeds=list(range(seeds)))[-1]
    assert last.startswith(words) if words else "seed" not in last


TFIDF, FROZEN = figure("tfidf", 0.6), figure("frozen_embeddings", 0.7)
BEATEN = [comparison("tfidf", 0.16, 0.001), comparison("frozen_embeddings", 0.06, 0.001)]


def fitted(**more: object) -> SimpleBaselines:
    fit = {"system": "tfidf", "reads": "words", "labels": "gold", "rows": 770, "cpu_seconds": 7.5,
           "inverse_strength": 10.0, **more}  # fmt: skip
    return SimpleBaselines(fits=[SimpleFit.model_validate(fit)])


def test_a_student_that_beats_the_simple_baselines_keeps_its_share() -> None:
    sentences = said([TEACHER, STUDENT, TFIDF, FROZEN], BEATEN, sections=[KEPT, fitted()])
    assert sentences[0].startswith("The student keeps 95.0 %")
    assert sentences[1:3] == [
        "The distilled student beat TF-IDF + logistic regression: +16.0 points of accuracy (95 % interval +15.0 to "
        "+17.0, p = 0.001 over rows).",
        "The distilled student beat frozen embeddings + logistic regression: +6.0 points of accuracy (95 % interval "
        "+5.0 to +7.0, p = 0.001 over rows).",
    ]


@pytest.mark.parametrize(
    ("value", "p_value", "begins"),
    [
        (-0.01, 0.3, "TF-IDF + logistic regression is as good: use that. Its accuracy is 77.0 %, the student's 76.0"),
        (-0.01, 0.001, "TF-IDF + logistic regression is better: use that. Its accuracy is 77.0 %, the student's 76"),
        (0.0, 1.0, "TF-IDF + logistic regression is as good: use that. Its accuracy is 76.0 %"),
        (0.01, 0.3, "The student is not shown to be better than TF-IDF + logistic regression, whose accuracy is "
         "75.0 %; the student's is 76.0 %: +1.0 points of accuracy"),
    ],
)  # fmt: skip
def test_a_simple_baseline_that_will_do_comes_first(value: float, p_value: float, begins: str) -> None:
    figures = [TEACHER, STUDENT, figure("tfidf", 0.76 - value)]
    sentences = said(figures, [comparison("tfidf", value, p_value)], sections=[KEPT, fitted()])
    assert sentences[0].startswith(begins)
    assert sentences[0].endswith(" over rows). It learned 770 gold labels in 7.5 s of CPU time.")
    assert not any("keeps" in sentence for sentence in sentences)
    assert sum("TF-IDF" in sentence for sentence in sentences) == 1


def test_whose_labels_a_simple_baseline_learned_is_said() -> None:
    sentences = said([TEACHER, STUDENT], [comparison("tfidf", -0.01, 0.3)], sections=[fitted(labels="teacher")])
    assert sentences[0].endswith("It learned 770 labels of the teacher in 7.5 s of CPU time.")


@pytest.mark.parametrize(("student", "caveat"), [(3, True), (6, False), (None, False)])
@pytest.mark.parametrize("tfidf_beaten", [True, False])
def test_a_simple_baseline_may_be_larger_than_the_student(
    student: int | None, caveat: bool, tfidf_beaten: bool
) -> None:
    compared = [BEATEN[0] if tfidf_beaten else comparison("tfidf", 0.0, 0.9), comparison("frozen_embeddings", 0, 0.9)]
    results = record([TEACHER, STUDENT, TFIDF, FROZEN], compared)
    layers = {"distilled": student, "frozen_embeddings": 6}
    systems = [one.model_copy(update={"layers": layers.get(one.name)}) for one in results.systems]
    words = "It needs an encoder of 6 layers, the student 3: where size or speed matters"
    assert any(words in one for one in verdict(results.model_copy(update={"systems": systems}))) == (
        caveat and tfidf_beaten
    )


@pytest.mark.parametrize("teacher", [0.6, 0.65, 0.7])
def test_no_share_of_a_teacher_that_others_match_is_praised(teacher: float) -> None:
    figures = [figure("teacher", teacher), STUDENT, PLAIN, figure("tfidf", 0.65)]
    sentences = said(figures, BEATEN[:1], sections=[KEPT])
    tfidf = " or TF-IDF + logistic regression (65.0 %)" if teacher <= 0.65 else ""
    assert sentences[0] == (
        f"The teacher is no better than the fine-tuned student (70.0 %){tfidf}: its accuracy is "
        f"{teacher * 100:.1f} %. Such a teacher has little to teach; the student's is 76.0 %."
    )
    assert not any("keeps" in sentence for sentence in sentences)


def test_what_to_use_instead_comes_before_what_is_wrong_with_the_teacher() -> None:
    figures = [TEACHER, figure("student_init", 0.79), STUDENT, figure("tfidf", 0.81)]
    sentences = said(figures, [comparison("tfidf", -0.05, 0.001)], sections=[KEPT])
    begins = (
        "TF-IDF + logistic regression is better: use that",
        "The teacher does not lead",
        "The teacher is no better",
    )
    for sentence, beginning in zip(sentences, begins, strict=False):
        assert sentence.startswith(beginning)


def test_a_teacher_above_all_others_is_what_is_kept() -> None:
    figures = [figure("teacher", 0.701), STUDENT, PLAIN, figure("tfidf", 0.65), figure("pkd", 0.9)]
    assert said(figures, BEATEN[:1], sections=[KEPT])[0].startswith("The student keeps 95.0 %")
