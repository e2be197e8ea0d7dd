"""The sentences, for gains, losses, neither, and tests that disagree."""

from __future__ import annotations

import pytest

from limbeck.evaluation.language_verdict import language_verdict
from limbeck.language_results import (
    Cell,
    Effect,
    LanguageComparison,
    LanguageDifference,
    LanguageSystem,
    SystemCost,
)
from limbeck.results import Interval

NAMES = {"en": "English", "de": "German", "sw": "Swahili", "ur": "Urdu", "bg": "Bulgarian"}
TITLES = {"english_model": "the English model", "ml_ipd": "ML-IPD", "ml_dft": "ML-DFT", "transfer": "Transfer"}


def interval(value: float) -> Interval:
    return Interval(value=value, low=value - 0.01, high=value + 0.01)


def system(name: str, cells: dict[tuple[str, str], float], n_target: int = 16) -> LanguageSystem:
    return LanguageSystem(
        name=name,
        title=TITLES[name],
        n_target=n_target,
        cells=[
            Cell(
                task=task,
                lang=lang,
                resource="source" if lang == "en" else "high",
                records=10,
                candidates=4,
                accuracy=interval(accuracy),
                mrr=interval(accuracy),
                seeds=[],
            )
            for (task, lang), accuracy in cells.items()
        ],
        macro_accuracy=interval(0.5),
        macro_mrr=interval(0.5),
        high_accuracy=None,
        low_accuracy=None,
    )


def comparison(
    difference: float,
    holm: float | None,
    over_records: float,
    *,
    second: str = "ml_dft",
    n_target: int = 16,
    languages: dict[str, tuple[float, float | None]] | None = None,
    first: str = "ml_ipd",
    metric: str = "accuracy",
) -> LanguageComparison:
    """`languages`: difference and corrected p-value of each."""

    def effect(value: float) -> Effect:
        return Effect(difference=interval(value), bootstrap_p_value=over_records)

    return LanguageComparison(
        first=first,
        second=second,
        n_target=n_target,
        metric=metric,  # type: ignore[arg-type]
        macro=effect(difference),
        t_test=None,
        holm_p_value=holm,
        high_difference=None,
        low_difference=None,
        languages=[
            LanguageDifference(
                lang=lang,
                resource="source" if lang == "en" else "high",
                effect=effect(value),
                t_test=None,
                holm_p_value=p,
                mcnemar=[],
            )
            for lang, (value, p) in (languages or {"en": (0.5, None), "de": (0.1, None), "sw": (0.1, None)}).items()
        ],
    )


def cost(
    name: str, hours: float, saving: float | None = None, *, english: float = 0, n_target: int = 16
) -> SystemCost:
    return SystemCost(
        name=name,
        n_target=n_target,
        devices=1,
        device_hours=hours,
        english_model_hours=english,
        tokens=1,
        peak_memory_bytes=1,
        energy_kwh=None,
        saving=saving,
    )


SYSTEMS = [system(name, {}) for name in TITLES]


def said(
    comparisons: list[LanguageComparison],
    systems: list[LanguageSystem] = SYSTEMS,
    costs: list[SystemCost] | None = None,
) -> list[str]:
    return language_verdict(systems, comparisons, costs or [], source_language="en", language_names=NAMES)


NO_DIFFERENCE = "there is no significant difference between ML-IPD and ML-DFT"
UNSETTLED = "it is not settled whether ML-IPD differs from ML-DFT, since one test says so and one does not"
BUDGET = "With 16 labels for each task and target language, "


@pytest.mark.parametrize(
    ("difference", "holm", "over_records", "words", "figures"),
    [
        (0.021, 0.003, 0.01, "ML-IPD beat ML-DFT", "+2.1 points of accuracy on average over 2 languages (95 % "
         "interval +1.1 to +3.1; p = 0.003 over languages and seeds after Holm's correction, p = 0.010 over test "
         "records)"),
        (-0.021, 0.0003, 0.0, "ML-IPD was worse than ML-DFT", "−2.1 points of accuracy on average over 2 languages "
         "(95 % interval −3.1 to −1.1; p < 0.001 over languages and seeds after Holm's correction, p < 0.001 over "
         "test records)"),
        (0.021, 0.05, 0.3, NO_DIFFERENCE, "p = 0.050 over languages and seeds"),
        (0.021, 0.05, 0.04, UNSETTLED, "p = 0.040 over test records"),
        (0.021, 0.04, 0.05, UNSETTLED, "p = 0.050 over test records"),
        (0.021, None, 1.0, NO_DIFFERENCE, "no test over languages and seeds is possible, p = 1.00 over test records"),
        (0.021, None, 0.01, UNSETTLED, "no test over languages and seeds is possible, p = 0.010 over test records"),
    ],
)  # fmt: skip
def test_against_a_baseline(
    difference: float, holm: float | None, over_records: float, words: str, figures: str
) -> None:
    sentence = said([comparison(difference, holm, over_records)])[0]
    assert sentence.startswith(f"{BUDGET}{words}: ")
    assert figures in sentence
    assert sentence.endswith("No language can be tested on its own: that takes three seeds that differ.")


def test_single_languages_are_counted_and_named() -> None:
    languages: dict[str, tuple[float, float | None]] = {
        "en": (0.9, 0.001),
        "de": (0.04, 0.01),
        "ur": (0.05, 0.049),
        "sw": (-0.03, 0.02),
        "bg": (0.04, 0.05),
    }
    sentence = said([comparison(0.02, 0.01, 0.01, languages=languages)])[0]
    assert "over 4 languages" in sentence
    assert sentence.endswith(
        "Of 4 languages tested one by one, it is significantly better in 2 (German, Urdu) and worse in 1 (Swahili)."
    )
    sentence = said([comparison(0.02, 0.01, 0.01, languages={"de": (0.04, 0.06), "sw": (0.1, None)})])[0]
    assert sentence.endswith("Of 1 language tested one by one, it is significantly better in none and worse in none.")


def test_only_the_accuracy_of_ml_ipd_is_spoken_of() -> None:
    others = [comparison(0.1, 0.1, 0.1, metric="mrr"), comparison(0.1, 0.1, 0.1, first="ml_dft", second="transfer")]
    assert len(said(others)) == len(said([])) == 1


def test_every_budget_has_its_own_sentences() -> None:
    systems = [system(name, {}, n_target) for name in TITLES for n_target in (0, 1, 1000)]
    found = said([comparison(0.02, 0.01, 0.01, n_target=n) for n in (0, 1, 1000)], systems)
    assert [sentence.split(",")[0] for sentence in found[:2]] == [
        "Without target-language labels",
        "With 1 label for each task and target language",
    ]
    assert found[2].startswith("With 1,000 labels for each task and target language, ML-IPD beat")


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (comparison(0.02, 0.01, 0.01, second="transfer"),
         "distillation itself helped: Transfer, its control without it, is beaten."),
        (comparison(0.02, 0.06, 0.01, second="transfer"),
         "nothing here shows that distillation itself helped: Transfer, its control without it, is not beaten."),
        (comparison(-0.02, 0.01, 0.01, second="transfer"),
         "nothing here shows that distillation itself helped: Transfer, its control without it, is not beaten."),
        (comparison(0.02, 0.01, 0.01, second="english_model"),
         "nothing was trained without the distillation and otherwise alike, so no gain can be put down to it."),
        (comparison(0.02, 0.01, 0.01, second="transfer", n_target=128),
         "nothing was trained without the distillation and otherwise alike, so no gain can be put down to it."),
    ],
)  # fmt: skip
def test_only_the_control_shows_what_distillation_did(control: LanguageComparison, words: str) -> None:
    assert said([comparison(0.1, 0.001, 0.001), control])[2] == BUDGET + words


def test_without_labels_the_english_model_is_the_control() -> None:
    systems = [system("english_model", {}, 0), system("ml_ipd", {}, 0)]
    found = said([comparison(0.02, 0.01, 0.01, second="english_model", n_target=0)], systems)
    assert found[1] == (
        "Without target-language labels, distillation itself helped: the English model, its control without it, is "
        "beaten."
    )


def test_languages_left_behind_are_measured_on_their_own_tasks() -> None:
    english = system("english_model", {("topic", "en"): 0.8, ("pair", "en"): 0.5, ("topic", "de"): 0.1}, 0)
    ours = system(
        "ml_ipd",
        {
            ("topic", "en"): 0.7,
            ("topic", "de"): 0.8,
            ("pair", "de"): 0.5,
            ("pair", "sw"): 0.3,  # 60 % of .5
            ("topic", "ur"): 0.4,  # 50 % of .8
            ("topic", "bg"): 0.72,
            ("words", "bg"): 0.0,  # English has no such task
        },
    )
    assert said([], [english, ours])[1] == (
        f"{BUDGET}ML-IPD keeps 75.0 % of the accuracy that the English model has in English, on average over 4 "
        "languages; furthest behind: Urdu (50.0 %), Swahili (60.0 %), Bulgarian (90.0 %)."
    )


def test_nothing_is_said_of_what_an_english_model_without_english_records_keeps() -> None:
    ours = system("ml_ipd", {("topic", "de"): 0.8})
    assert len(said([], [system("english_model", {("topic", "de"): 0.5}), ours])) == 1
    assert len(said([], [system("english_model", {("topic", "en"): 0.0}), ours])) == 1


def test_cost_names_savings_and_extra_cost_at_the_same_budget() -> None:
    costs = [
        cost("english_model", 5),
        cost("ml_ipd", 12.344, english=5),
        cost("ml_dft", 20.6, 0.4),
        cost("transfer", 10.3, -0.198, english=5),
        cost("ml_dft", 99, 0.9, n_target=128),
    ]
    assert said([], costs=costs)[-1] == (
        f"{BUDGET}ML-IPD took 12.3 h on a device, 5.00 h of it for the English model: 40.0 % less than ML-DFT "
        "(20.6 h), 19.8 % more than Transfer (10.3 h)."
    )
    assert said([], costs=costs[:2])[-1].endswith("5.00 h of it for the English model.")


def test_a_system_at_chance_keeps_nothing_of_english() -> None:
    cells = {("topic", "en"): 0.9, ("topic", "de"): 0.5}
    systems = [system("english_model", cells, 0), system("ml_ipd", cells)]
    for most_frequent, beaten in ((0.495, False), (0.3, True)):
        sentences = language_verdict(
            systems, [], [], source_language="en", language_names=NAMES, most_frequent=most_frequent
        )
        assert any("keeps" in sentence for sentence in sentences) == beaten
        assert any("is not shown to be better than always the most frequent answer" in s for s in sentences) != beaten
        assert sentences[-1] == f"Always the most frequent answer is right on {most_frequent * 100:.1f} % on average."
