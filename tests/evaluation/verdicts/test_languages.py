"""The sentences of a cross-lingual run, for gains, losses, neither, and tests that disagree."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.evaluation.verdicts.records import comparison, figure, record

from limbeck.evaluation.verdicts.verdict import verdict
from limbeck.results.figures import Comparison, Figure
from limbeck.results.record import Role, System
from limbeck.results.sections import Languages, SystemCost, SystemCosts

NAMES = {"en": "English", "de": "German", "sw": "Swahili", "ur": "Urdu", "bg": "Bulgarian"}
TITLES = {"teacher": "English model", "gold": "ML-IPD", "ml_dft": "ML-DFT", "transfer": "Transfer"}
LANGUAGES = Languages(
    source="en",
    targets=["de", "sw", "ur", "bg"],
    names=NAMES,
    resources={"en": "source", "de": "high", "sw": "high", "ur": "high", "bg": "high"},
    tasks=["topic", "pair", "words"],
)
ROLES: dict[str, Role] = {"teacher": "teacher", "gold": "main"}
SYSTEMS = [
    System(name=name, title=title, role=ROLES.get(name, "baseline"), control=name == "transfer")
    for name, title in TITLES.items()
]
CONSTANT = System(name="constant", title="Always the most frequent answer", role="constant")
BUDGET = "With 16 labels for each task and target language, "
NO_DIFFERENCE = "there is no significant difference between ML-IPD and ML-DFT"
UNSETTLED = "it is not settled whether ML-IPD differs from ML-DFT, since one test says so and one does not"


def compared(
    difference: float,
    holm: float | None,
    over_records: float,
    *,
    second: str = "ml_dft",
    budget: int = 16,
    languages: dict[str, tuple[float, float | None]] | None = None,
    metric: str = "accuracy",
    first: str = "gold",
) -> list[Comparison]:
    """`languages`: difference and corrected p-value of each."""
    slices = {"en": (0.5, None), "de": (0.1, None), "sw": (0.1, None)} if languages is None else languages
    whole = comparison(second, difference, over_records, metric, holm=holm, budget=budget, first=first)
    return [whole] + [
        comparison(second, value, over_records, metric, holm=p, slice={"lang": lang}, budget=budget, first=first)
        for lang, (value, p) in slices.items()
    ]


def said(
    comparisons: Sequence[Comparison],
    figures: Sequence[Figure] | None = None,
    costs: Sequence[SystemCost] = (),
    systems: Sequence[System] = SYSTEMS,
) -> list[str]:
    macro = [figure("gold", 0.5, budget=16)] if figures is None else figures
    sections = [LANGUAGES, SystemCosts(systems=list(costs))]
    return verdict(record(macro, comparisons, systems=systems, sections=sections))


def cell(system: str, task: str, lang: str, value: float, budget: int = 16) -> Figure:
    return figure(system, value, slice={"task": task, "lang": lang}, budget=budget)


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
    sentence, *others = said(compared(difference, holm, over_records) + compared(0.1, 0.1, 0.1, second="transfer"))
    assert sentence.startswith(f"{BUDGET}{words}: ")
    assert figures in sentence
    assert sentence.endswith("over test records).")
    assert others.count("No language can be tested on its own: that takes three seeds that differ.") == 1


def test_single_languages_are_counted_and_named() -> None:
    languages: dict[str, tuple[float, float | None]] = {
        "en": (0.9, 0.001),
        "de": (0.04, 0.01),
        "ur": (0.05, 0.049),
        "sw": (-0.03, 0.02),
        "bg": (0.04, 0.05),
    }
    sentence = said(compared(0.02, 0.01, 0.01, languages=languages))[0]
    assert "over 4 languages" in sentence
    assert sentence.endswith(
        "Of 4 languages tested one by one, it is significantly better in 2 (German, Urdu) and worse in 1 (Swahili)."
    )
    sentence = said(compared(0.02, 0.01, 0.01, languages={"de": (0.04, 0.06), "sw": (0.1, None)}))[0]
    assert sentence.endswith("Of 1 language tested one by one, it is significantly better in none and worse in none.")


def test_only_the_accuracy_of_the_main_system_is_spoken_of() -> None:
    others = compared(0.1, 0.1, 0.1, metric="rouge_l") + compared(0.1, 0.1, 0.1, first="ml_dft", second="transfer")
    assert len(said(others)) == len(said([])) == 1


def test_any_recipe_may_be_the_main_one() -> None:
    systems = [
        s.model_copy(update={"role": {"gold": "baseline", "ml_dft": "main"}.get(s.name, s.role)}) for s in SYSTEMS
    ]
    found = said(compared(0.02, 0.01, 0.01, first="ml_dft", second="gold"), systems=systems)
    assert found[0].startswith(f"{BUDGET}ML-DFT beat ML-IPD")


def test_every_budget_has_its_own_sentences() -> None:
    figures = [figure("gold", 0.5, budget=n) for n in (0, 1, 1000)]
    found = said([c for n in (0, 1, 1000) for c in compared(0.02, 0.01, 0.01, budget=n)], figures)
    assert [sentence.split(",")[0] for sentence in found[:2]] == [
        "Without target-language labels",
        "With 1 label for each task and target language",
    ]
    assert found[2].startswith("With 1,000 labels for each task and target language, ML-IPD beat")


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (compared(0.02, 0.01, 0.01, second="transfer"),
         "distillation itself helped: Transfer, the control without it, is beaten."),
        (compared(0.02, 0.06, 0.01, second="transfer"),
         "nothing here shows that distillation itself helped: Transfer, the control without it, is not beaten."),
        (compared(-0.02, 0.01, 0.01, second="transfer"),
         "nothing here shows that distillation itself helped: Transfer, the control without it, is not beaten."),
        (compared(0.02, 0.01, 0.01, second="teacher"),
         "no system was trained in the same way without distillation, so no gain can be attributed to it."),
        (compared(0.02, 0.01, 0.01, second="transfer", budget=128),
         "no system was trained in the same way without distillation, so no gain can be attributed to it."),
    ],
)  # fmt: skip
def test_only_the_control_shows_what_distillation_did(control: list[Comparison], words: str) -> None:
    assert said([*compared(0.1, 0.001, 0.001), *control])[2] == BUDGET + words


def test_without_labels_the_teacher_is_the_control() -> None:
    found = said(compared(0.02, 0.01, 0.01, second="teacher", budget=0), [figure("gold", 0.5, budget=0)])
    assert found[1] == (
        "Without target-language labels, distillation itself helped: the English model, the control without it, is "
        "beaten."
    )


def test_languages_left_behind_are_measured_on_their_own_tasks() -> None:
    figures = [
        figure("gold", 0.5, budget=16),
        *(cell("teacher", task, lang, value, 0)
          for task, lang, value in (("topic", "en", 0.8), ("pair", "en", 0.5), ("topic", "de", 0.1))),
        cell("gold", "topic", "en", 0.7),
        cell("gold", "topic", "de", 0.8),
        cell("gold", "pair", "de", 0.5),
        cell("gold", "pair", "sw", 0.3),  # 60 % of .5
        cell("gold", "topic", "ur", 0.4),  # 50 % of .8
        cell("gold", "topic", "bg", 0.72),
        cell("gold", "words", "bg", 0.0),  # English has no such task
    ]  # fmt: skip
    assert said([], figures)[1] == (
        f"{BUDGET}ML-IPD keeps 75.0 % of the accuracy that the English model has in English, on average over 4 "
        "languages; furthest behind: Urdu (50.0 %), Swahili (60.0 %), Bulgarian (90.0 %)."
    )


@pytest.mark.parametrize("at_home", [cell("teacher", "topic", "de", 0.5, 0), cell("teacher", "topic", "en", 0.0, 0)])
def test_nothing_is_said_of_what_is_kept_of_a_source_language_without_figures(at_home: Figure) -> None:
    assert len(said([], [figure("gold", 0.5, budget=16), cell("gold", "topic", "de", 0.8), at_home])) == 1


def cost(
    system: str, hours: float, saving: float | None = None, *, teacher: float = 0, budget: int = 16
) -> SystemCost:
    return SystemCost(system=system, budget=budget, devices=1, device_hours=hours, teacher_hours=teacher, tokens=1,
                      peak_memory_bytes=1, energy_kwh=None, saving=saving)  # fmt: skip


def test_cost_names_savings_and_extra_cost_at_the_same_budget() -> None:
    costs = [
        cost("teacher", 5),
        cost("gold", 12.344, teacher=5),
        cost("ml_dft", 20.6, 0.4),
        cost("transfer", 10.3, -0.198, teacher=5),
        cost("ml_dft", 99, 0.9, budget=128),
    ]
    assert said([], costs=costs)[-1] == (
        f"{BUDGET}ML-IPD took 12.3 h on a device, 5.00 h of it for the English model: 40.0 % less than ML-DFT "
        "(20.6 h), 19.8 % more than Transfer (10.3 h)."
    )
    assert said([], costs=costs[:2])[-1].endswith("5.00 h of it for the English model.")


def test_a_system_at_chance_keeps_nothing_of_english() -> None:
    cells = [cell("teacher", "topic", "en", 0.9, 0), cell("gold", "topic", "de", 0.5), figure("gold", 0.5, budget=16)]
    for most_frequent, beaten in ((0.495, False), (0.3, True)):
        constant = Figure(system="constant", metric="accuracy", value=most_frequent)
        sentences = said([], [*cells, constant], systems=[*SYSTEMS, CONSTANT])
        assert any("keeps" in sentence for sentence in sentences) == beaten
        assert any("is not shown to be better than always the most frequent answer" in s for s in sentences) != beaten
        assert sentences[-1] == f"Always the most frequent answer is right on {most_frequent * 100:.1f} % on average."
