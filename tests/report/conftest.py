"""Records to report on: of each kind of run a complete one, a bare one, and one whose every text is hostile."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from limbeck.evaluation.generation.measure import measure_generation
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.verdict import generation_verdict
from limbeck.generation_results import GenerationResults, GenerationSpeed
from limbeck.language_results import (
    Cell,
    Effect,
    EnglishCheck,
    LanguageComparison,
    LanguageDifference,
    LanguageResults,
    LanguageSystem,
    Money,
    SeedCell,
    SystemCost,
    TTest,
)
from limbeck.report.figures import Figures, draw_figures
from limbeck.report.generation_figures import GenerationDrawings, draw_generation_figures
from limbeck.report.language_figures import LanguageFigures, draw_language_figures
from limbeck.results import (
    ClassFigures,
    Comparison,
    ConfusionMatrix,
    Curve,
    Disagreement,
    Interval,
    McNemar,
    ReliabilityBin,
    Results,
    SeedFigures,
    Speed,
    StageCost,
    System,
    SystemName,
)

SCRIPT = "<script>alert(1)</script>"
HOSTILE = [
    SCRIPT,
    "$x_$",
    "\"&'",
    "a|b\n# c",
    "\u202eعربي",
    "nul\x00\x1b[31m",
    "",
    "`" * 5,
    "very long " * 300,
    "{{ 7*7 }}",
]

LABELS = [
    "card_payment_wrong_exchange_rate",
    "reverted_card_payment?",
    "why_verify_identity",
    "top_up_by_bank_transfer_charge",
    "pending_cash_withdrawal",
    "balance_not_updated_after_bank_transfer",
    "Refund_not_showing_up",
    "lost_or_stolen_card",
    "card_arrival",
    "transfer_timing",
    "declined_transfer",
    *(f"intent_{number:02d}" for number in range(66)),
]
SEEDS = [0, 1, 2]
QUALITY: dict[SystemName, float] = {
    "teacher": 0.932,
    "student_before": 0.023,
    "fine_tuned": 0.884,
    "distilled": 0.903,
}
TITLES: dict[SystemName, tuple[str, str]] = {
    "teacher": ("Teacher", "bert-base-uncased, fine-tuned for 3 epochs"),
    "student_before": ("Student before", "3 of 12 layers, untrained head"),
    "fine_tuned": ("Fine-tuned", "the same student, gold labels only, same budget"),
    "distilled": ("Distilled", "3 of 12 layers, 45.7 M parameters"),
}


def interval(value: float, half: float = 0.011) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def system(name: SystemName, rng: random.Random) -> System:
    quality, teacher = QUALITY[name], name == "teacher"
    title, detail = TITLES[name]
    return System(
        name=name,
        title=title,
        detail=detail,
        layers=12 if teacher else 3,
        accuracy=interval(quality),
        macro_f1=interval(quality - 0.004),
        sensitivity=interval(quality - 0.002),
        specificity=interval(0.998, 0.001),
        loss_nats=round(-math.log(max(quality, 0.02)) * 3, 3),
        expected_calibration_error={"teacher": 0.021, "fine_tuned": 0.062, "distilled": 0.034}.get(name, 0.004),
        agreement=None if teacher else interval(min(quality + 0.02, 0.97)),
        kl_to_teacher_nats=None if teacher else interval(0.16 if name == "distilled" else 0.41, 0.02),
        per_class=[
            ClassFigures(label=label, precision=f1, recall=f1, f1=f1, rows=40 if teacher else 120, specificity=0.9987)
            for label in LABELS
            for f1 in [min(1.0, max(0.0, rng.gauss(quality, 0.05)))]
        ],
        reliability=[reliability_bin(number, quality, rng) for number in range(10)],
        confusion=None if name == "student_before" else confusion(quality, rng),
        seeds=[
            SeedFigures(
                seed=seed,
                accuracy=quality,
                macro_f1=quality,
                agreement=quality,
                kl_to_teacher_nats=0.2,
                sensitivity=quality,
                specificity=0.998,
            )
            for seed in ([0] if teacher else SEEDS)
        ],
        speed=speed(teacher),
    )


def speed(teacher: bool) -> Speed:
    return Speed(
        parameters=109_540_000 if teacher else 45_750_000,
        size_bytes=438_200_000 if teacher else 183_100_000,
        latency_ms_median=28.4 if teacher else 7.31,
        latency_ms_p95=33.0 if teacher else 8.8,
        throughput_rows_per_second=212.0 if teacher else 1043.0,
        batch_size=32,
        peak_memory_bytes=1_310_000_000 if teacher else 702_000_000,
    )


def reliability_bin(number: int, quality: float, rng: random.Random) -> ReliabilityBin:
    low = number / 10
    trained = quality > 0.5
    rows = int(30 * 1.65**number) if trained else (9000 if number == 0 else 0)
    middle = low + 0.05 if trained else 0.017
    right = min(1.0, max(0.0, middle - (0.08 if trained else 0) * rng.random())) if rows else 0.0
    return ReliabilityBin(low=low, high=low + 0.1, rows=rows, mean_confidence=middle if rows else 0.0, accuracy=right)


def confusion(quality: float, rng: random.Random) -> ConfusionMatrix:
    size = 11
    rows = [
        [
            rng.randint(70, 110) if i == j else rng.choice([0, 0, 0, 1, 2, int(60 * (1 - quality) + 8)])
            for j in range(size + 1)
        ]
        for i in range(size + 1)
    ]
    rows[-1][-1] = 7480
    return ConfusionMatrix(labels=[*LABELS[:size], "(other)"], rows=rows)


def curves(rng: random.Random) -> list[Curve]:
    found = []
    for name, seeds in (("teacher", [0]), ("fine_tuned", SEEDS), ("distilled", SEEDS)):
        for seed in seeds:
            steps = list(range(10, 901, 10))
            for series, start in (("loss", 4.3), ("term/forward_kl", 3.1), ("term/hidden", 1.2)):
                if series == "loss" or name == "distilled":
                    values = [start * math.exp(-step / 220) + 0.15 + rng.gauss(0, 0.05) for step in steps]
                    found.append(
                        Curve(
                            stage=f"{name}-1",
                            system=name,
                            seed=seed,
                            series=series,
                            steps=steps,
                            values=values,
                        )
                    )
            checks = list(range(100, 901, 100))
            for series in ("train/accuracy", "train/agreement"):
                if series == "train/agreement" and name == "teacher":
                    continue
                values = [QUALITY[name] * (1 - math.exp(-step / 160)) + rng.gauss(0, 0.006) for step in checks]
                found.append(
                    Curve(stage=f"{name}-1", system=name, seed=seed, series=series, steps=checks, values=values)
                )
    return found


def comparison(first: SystemName, second: SystemName, metric: str, mcnemar: bool) -> Comparison:
    difference = QUALITY[first] - QUALITY[second]
    return Comparison(
        first=first,
        second=second,
        metric=metric,
        difference=interval(difference, 0.008),
        bootstrap_p_value=0.0004,
        mcnemar=[
            McNemar(seed=seed, only_first_right=141 + seed, only_second_right=92 - seed, p_value=0.0021)
            for seed in (SEEDS if mcnemar else [])
        ],
        per_seed_difference=[difference - 0.003, difference, difference + 0.003],
        t_test_p_value=0.0083,
    )


DISAGREEMENTS = [
    (
        "I was charged a fee that I did not expect for the transfer.",
        "transfer_timing",
        "transfer_timing",
        "card_arrival",
    ),
    (
        "Why is my card still on its way?\nI ordered it two weeks ago.",
        "card_arrival",
        "transfer_timing",
        "card_arrival",
    ),
    ("أين بطاقتي؟ لقد مر أسبوعان", "card_arrival", "lost_or_stolen_card", "pending_cash_withdrawal"),
    ("The cash machine did not give me any money, but my account says it did. " * 9, None, *LABELS[4:6]),
]


@pytest.fixture(scope="session")
def full_results() -> Results:
    rng = random.Random(7)
    return Results(
        name="Banking tickets, PKD",
        created="2026-11-22T15:40:12Z",
        limbeck_version="0.1.0",
        command="limbeck distill banking.yaml --set 'training.seeds=[0, 1, 2]' --set output=runs/banking",
        verdict=[
            "The distilled student keeps 96.9 % of the teacher's accuracy at 42 % of its size.",
            "It lost 2.9 points of accuracy against the teacher (95 % interval 2.1 to 3.7).",
            "Distillation beats plain fine-tuning with the same budget by 1.9 points (p < 0.001).",
        ],
        warnings=[
            "12 held-out rows also occur in the training data; they were left out.",
            "Only three seeds were run.",
        ],
        labels=LABELS,
        train_rows=10_003,
        labelled_rows=9_004,
        test_rows=3_080,
        left_out_rows=12,
        recipe="pkd",
        paper="Sun et al., 2019, Patient Knowledge Distillation for BERT Model Compression, arXiv 1908.09355",
        systems=[system(name, rng) for name in QUALITY],
        comparisons=[
            comparison("distilled", "fine_tuned", "accuracy", True),
            comparison("distilled", "fine_tuned", "macro_f1", False),
            comparison("distilled", "teacher", "accuracy", True),
        ],
        curves=curves(rng),
        disagreements=[
            Disagreement(
                text=text,
                text_pair=None,
                gold=gold,
                teacher_label=teacher,
                teacher_confidence=0.871,
                student_label=student,
                student_confidence=0.532,
            )
            for text, gold, teacher, student in DISAGREEMENTS * 3
        ],
        costs=[
            StageCost(
                stage=stage,
                system=name,
                seed=seed,
                seconds=seconds,
                steps=900,
                rows_seen=28_800,
                tokens_seen=612_000,
                peak_memory_bytes=2_100_000_000,
            )
            for name, stage, seconds, seeds in (
                ("teacher", "fine-tune", 1930.0, [0]),
                ("fine_tuned", "fine-tune", 402.0, SEEDS),
                ("distilled", "logits and layers", 688.0, SEEDS),
            )
            for seed in seeds
        ],
        resolved_run="task:\n  kind: classification\n  text: text\ntraining:\n  seeds: [0, 1, 2]\n",
        environment={
            "limbeck": "0.1.0",
            "torch": "2.9.1",
            "transformers": "5.19.0",
            "cpu": "2 cores, x86_64",
        },
        data_fingerprints={"train.jsonl": "sha256:" + "3f9a" * 16, "test.jsonl": "sha256:" + "b07c" * 16},
    )


@pytest.fixture(scope="session")
def bare_results() -> Results:
    """One student, no labels, no teacher, nothing logged: all that may be absent is absent."""
    student = System(
        name="distilled",
        title="Distilled",
        detail="2 layers",
        layers=2,
        accuracy=None,
        macro_f1=None,
        loss_nats=None,
        expected_calibration_error=None,
        agreement=None,
        kl_to_teacher_nats=None,
        per_class=[],
        reliability=[],
        confusion=None,
        seeds=[],
        speed=speed(teacher=False),
    )
    return Results(
        name="bare",
        created="2026-11-22T15:40:12Z",
        limbeck_version="0.1.0",
        command="limbeck distill bare.yaml",
        verdict=[],
        warnings=[],
        labels=["a", "b"],
        train_rows=10,
        labelled_rows=0,
        test_rows=4,
        left_out_rows=0,
        recipe="kd",
        paper="",
        systems=[student],
        comparisons=[],
        curves=[],
        disagreements=[],
        costs=[],
        resolved_run="",
        environment={},
        data_fingerprints={},
    )


@pytest.fixture(scope="session")
def hostile_results(full_results: Results) -> Results:
    """The full record with every text replaced by one that breaks careless pages."""
    names = dict(zip(LABELS, HOSTILE, strict=False))
    systems = [
        s.model_copy(
            update={
                "title": SCRIPT + s.title,
                "detail": SCRIPT,
                "per_class": [c.model_copy(update={"label": names.get(c.label, c.label)}) for c in s.per_class],
                "confusion": s.confusion and s.confusion.model_copy(update={"labels": [*HOSTILE, SCRIPT, "$"]}),
            }
        )
        for s in (full_results.systems[0], full_results.systems[-1])
    ]
    rows = [
        Disagreement(
            text=text,
            text_pair=text,
            gold=text,
            teacher_label=text,
            teacher_confidence=1.0,
            student_label=SCRIPT,
            student_confidence=0.5,
        )
        for text in HOSTILE
    ]
    return full_results.model_copy(
        update={
            "name": SCRIPT,
            "created": SCRIPT,
            "limbeck_version": SCRIPT,
            "command": SCRIPT + " ```",
            "verdict": HOSTILE,
            "warnings": HOSTILE,
            "labels": [names.get(label, label) for label in LABELS],
            "recipe": SCRIPT,
            "paper": SCRIPT,
            "systems": systems,
            "curves": [
                c.model_copy(update={"stage": SCRIPT, "series": c.series + SCRIPT})
                for c in full_results.curves
                if c.series in ("loss", "term/hidden")
            ],
            "disagreements": rows,
            "costs": [c.model_copy(update={"stage": SCRIPT}) for c in full_results.costs],
            "resolved_run": SCRIPT,
            "environment": {SCRIPT: SCRIPT},
            "data_fingerprints": {"$": SCRIPT},
        }
    )


@pytest.fixture(scope="session")
def full_figures(full_results: Results) -> Figures:
    return draw_figures(full_results)


@pytest.fixture(scope="session")
def hostile_figures(hostile_results: Results) -> Figures:
    return draw_figures(hostile_results)


# Accuracy of ML-IPD without target labels, by language; a run whose numbers look like those of a real one.
LANGUAGES = {
    "de": ("German", 0.803),
    "fr": ("French", 0.811),
    "es": ("Spanish", 0.818),
    "it": ("Italian", 0.805),
    "nl": ("Dutch", 0.799),
    "pt": ("Portuguese", 0.814),
    "ru": ("Russian", 0.772),
    "bg": ("Bulgarian", 0.781),
    "zh": ("Chinese", 0.762),
    "hi": ("Hindi", 0.701),
    "ur": ("Urdu", 0.664),
    "sw": ("Swahili", 0.588),
}
LOW = {"bg", "hi", "ur", "sw"}
BUDGETS = [0, 16, 128]
LANGUAGE_SYSTEMS = {
    "english_model": ("English model", -0.031),
    "ml_ipd": ("ML-IPD", 0.0),
    "ml_dft": ("ML-DFT", -0.052),
    "pl_bl": ("PL-BL", -0.094),
    "rl_ia": ("RL-IA", -0.027),
    "transfer": ("Transfer", -0.012),
}
TASKS = {"topic": (204, 7, 0.02), "entailment": (300, 3, -0.03)}


def cell(task: str, lang: str, accuracy: float, seeds: list[int]) -> Cell:
    records, candidates, _ = TASKS[task]
    return Cell(
        task=task,
        lang=lang,
        resource="source" if lang == "en" else "low" if lang in LOW else "high",
        records=records,
        candidates=candidates,
        accuracy=interval(accuracy, 0.041),
        mrr=interval(0.5 + accuracy / 2, 0.022),
        seeds=[
            SeedCell(seed=s, accuracy=accuracy + 0.01 * (s - 1), mrr=0.5 + accuracy / 2 + 0.005 * (s - 1))
            for s in seeds
        ],
    )


def language_accuracy(name: str, lang: str, task: str, n_target: int) -> float:
    base = 0.842 if lang == "en" else LANGUAGES[lang][1]
    change = LANGUAGE_SYSTEMS[name][1] * (0.3 if lang == "en" else 1)
    labels = 0.0 if name == "english_model" or lang == "en" else (0.85 - base) * {0: 0, 16: 0.12, 128: 0.4}[n_target]
    # In Swahili distillation does harm.
    harm = -0.05 if name == "ml_ipd" and lang == "sw" else 0.0
    return round(base + change + labels + harm + TASKS[task][2], 4)


def language_system(name: str, n_target: int, languages: list[str], tasks: list[str]) -> LanguageSystem:
    cells = [
        cell(task, lang, language_accuracy(name, lang, task, n_target), SEEDS)
        for lang in ["en", *languages]
        for task in tasks
    ]

    def macro(kept: set[str]) -> float | None:
        values = [c.accuracy.value for c in cells if c.lang in kept]
        return sum(values) / len(values) if values else None

    mean = macro(set(languages)) or 0.0
    return LanguageSystem(
        name=name,
        title=LANGUAGE_SYSTEMS[name][0],
        n_target=n_target,
        cells=cells,
        macro_accuracy=interval(mean, 0.012),
        macro_mrr=interval(0.5 + mean / 2, 0.007),
        high_accuracy=macro(set(languages) - LOW),
        low_accuracy=macro(set(languages) & LOW),
    )


def language_comparison(
    first: LanguageSystem, second: LanguageSystem, metric: str, languages: list[str]
) -> LanguageComparison:
    def mean(system: LanguageSystem, lang: str) -> float:
        values = [(c.accuracy if metric == "accuracy" else c.mrr).value for c in system.cells if c.lang == lang]
        return sum(values) / len(values)

    changes = {lang: mean(first, lang) - mean(second, lang) for lang in languages}
    overall = sum(changes.values()) / len(changes)
    test = TTest(
        t=3.21, degrees_of_freedom=35, p_value=0.0028, mean=overall, low=overall - 0.004, high=overall + 0.004
    )
    return LanguageComparison(
        first=first.name,
        second=second.name,
        n_target=first.n_target,
        metric=metric,
        macro=Effect(difference=interval(overall, 0.009), bootstrap_p_value=0.0006),
        t_test=test,
        holm_p_value=0.011,
        high_difference=overall - 0.004,
        low_difference=overall + 0.006 if LOW & set(languages) else None,
        languages=[
            LanguageDifference(
                lang=lang,
                resource="low" if lang in LOW else "high",
                effect=Effect(difference=interval(change, 0.028), bootstrap_p_value=0.04),
                # All seeds of German differ by the same.
                t_test=None if lang == "de" else test.model_copy(update={"degrees_of_freedom": 2, "p_value": 0.081}),
                holm_p_value=None if lang == "de" else 0.31,
                mcnemar=[McNemar(seed=seed, only_first_right=24, only_second_right=15, p_value=0.2) for seed in SEEDS]
                if metric == "accuracy"
                else [],
            )
            for lang, change in changes.items()
        ],
    )


def language_cost(name: str, n_target: int) -> SystemCost:
    hours = {"english_model": 0.41, "ml_ipd": 1.32, "ml_dft": 1.1, "pl_bl": 0.9, "rl_ia": 2.84, "transfer": 0.77}[name]
    return SystemCost(
        name=name,
        n_target=n_target,
        devices=1,
        device_hours=hours,
        english_model_hours=0.0 if name in ("ml_dft", "pl_bl") else 0.41,
        tokens=int(hours * 31_000_000),
        peak_memory_bytes=11_300_000_000,
        energy_kwh=None if name == "pl_bl" else hours * 0.31,
        saving=None if name in ("english_model", "ml_ipd") else 1 - 1.32 / hours,
    )


def language_curves(rng: random.Random) -> list[Curve]:
    steps = list(range(10, 401, 10))
    found = []
    for name, stages in {
        "english_model": ["english"],
        "ml_ipd": ["distillation", "target"],
        "ml_dft": ["all"],
    }.items():
        for stage, series, seed in ((s, r, n) for s in stages for r in ("loss", "train/accuracy") for n in SEEDS):
            fall = [math.exp(-step / 90) for step in steps]
            values = [(1.6 * f + 0.3 if series == "loss" else 0.85 - 0.6 * f) + rng.gauss(0, 0.02) for f in fall]
            found.append(Curve(stage=stage, system=name, seed=seed, series=series, steps=steps, values=values))
    return found


@pytest.fixture(scope="session")
def language_results() -> LanguageResults:
    languages, tasks = list(LANGUAGES), list(TASKS)
    systems = [
        language_system(name, n_target, languages, tasks)
        for n_target in BUDGETS
        for name in LANGUAGE_SYSTEMS
        if name != "english_model" or n_target == 0
    ]
    by_key = {(s.name, s.n_target): s for s in systems}
    return LanguageResults(
        name="Topics and entailment in twelve languages",
        created="2026-11-22T15:40:12Z",
        limbeck_version="0.1.0",
        command="limbeck distill languages.yaml --set 'seeds=[0, 1, 2]' --set output=runs/languages",
        verdict=[
            "With 128 labels for each task and language ML-IPD keeps 93.4 % of the accuracy on English.",
            "It beats ML-DFT by 3.1 points (95 % interval 2.2 to 4.0) and the control by 0.7 points.",
            "Swahili is left behind: distillation hurt there by 3.8 points.",
        ],
        warnings=["Only three seeds were run; the t-test of a single language finds large differences only."],
        source_language="en",
        languages=languages,
        language_names={"en": "English", **{lang: name for lang, (name, _) in LANGUAGES.items()}},
        tasks=tasks,
        seeds=SEEDS,
        pairing="parallel: the teacher reads English, the student the translation",
        prompts="task and language, hard text and 8 + 8 soft vectors",
        scorer="cross-encoder",
        kept_by_gate={lang: 0.95 - 0.03 * place for place, lang in enumerate(LANGUAGES)},
        records={
            "english": 12_000,
            "paired": 8_412,
            "target, 16 labels": 384,
            "target, 128 labels": 3_072,
            "test": 6_048,
        },
        systems=systems,
        comparisons=[
            language_comparison(by_key["ml_ipd", n], by_key[other, n], metric, languages)
            for metric in ("accuracy", "mrr")
            for n in BUDGETS
            for other in ("ml_dft", "pl_bl", "rl_ia", "transfer")
        ],
        english=[
            EnglishCheck(
                system=name,
                n_target=128,
                stage=stage,
                accuracy=0.837 + change,
                change=change,
                alarm=change <= -0.02,
            )
            for name, stage, change in (
                ("ml_ipd", "distillation", -0.004),
                ("ml_ipd", "target", -0.011),
                ("transfer", "target", -0.027),
            )
        ],
        costs=[language_cost(s.name, s.n_target) for s in systems],
        stage_costs=[
            StageCost(
                stage=stage,
                system=name,
                seed=seed,
                seconds=seconds,
                steps=400,
                rows_seen=25_600,
                tokens_seen=3_100_000,
                peak_memory_bytes=11_300_000_000,
            )
            for name, stage, seconds in (("english_model", "english", 1470.0), ("ml_ipd", "distillation", 2100.0))
            for seed in SEEDS
        ],
        curves=language_curves(random.Random(3)),
        resolved_run="task:\n  kind: candidates\nlanguages: [de, fr]\n",
        environment={"limbeck": "0.1.0", "torch": "2.9.1", "device": "1 GPU"},
        data_fingerprints={"train.jsonl": "sha256:" + "3f9a" * 16},
    )


@pytest.fixture(scope="session")
def official_language_results(language_results: LanguageResults) -> LanguageResults:
    """Two languages; nDCG of topics in one system, span F1 of entailment in German alone, and costs in money."""

    def with_figures(system: LanguageSystem) -> LanguageSystem:
        ndcg = {"en": 0.9, "de": 0.8, "fr": 0.6} if system.name == "ml_ipd" else {}
        figures = {("topic", lang): {"ndcg": interval(value, 0.02)} for lang, value in ndcg.items()}
        figures["entailment", "de"] = {"span_f1": interval(0.5, 0.02)}
        cells = [c.model_copy(update=figures.get((c.task, c.lang), {})) for c in system.cells]
        return system.model_copy(update={"cells": [c for c in cells if c.lang in ("en", "de", "fr")]})

    kept = [s for s in language_results.systems if (s.name, s.n_target) in (("english_model", 0), ("ml_ipd", 16))]
    money = [c.model_copy(update={"money": Money(amount=3.3, currency="EUR")}) for c in language_results.costs]
    return language_results.model_copy(
        update={"languages": ["de", "fr"], "systems": [with_figures(s) for s in kept], "costs": money}
    )


@pytest.fixture(scope="session")
def bare_language_results(language_results: LanguageResults) -> LanguageResults:
    """One language, one task, one system and one seed: nothing to compare with, nothing logged."""
    only = language_system("ml_ipd", 0, ["de"], ["topic"])
    return language_results.model_copy(
        update={
            "verdict": [],
            "warnings": [],
            "languages": ["de"],
            "language_names": {},
            "tasks": ["topic"],
            "seeds": [0],
            "kept_by_gate": {},
            "records": {},
            "systems": [
                only.model_copy(
                    update={
                        "cells": [c.model_copy(update={"seeds": c.seeds[:1]}) for c in only.cells if c.lang != "en"]
                    }
                )
            ],
            "comparisons": [],
            "english": [],
            "costs": [],
            "stage_costs": [],
            "curves": [],
            "environment": {},
            "data_fingerprints": {},
        }
    )


@pytest.fixture(scope="session")
def hostile_language_results(language_results: LanguageResults) -> LanguageResults:
    """Every text replaced by one that breaks careless pages; one system has a name that nobody knows."""
    languages = list(LANGUAGES)[: len(HOSTILE)]
    systems = [
        system.model_copy(
            update={
                "title": SCRIPT + system.title,
                "name": SCRIPT if system.name == "pl_bl" else system.name,
                "cells": [c.model_copy(update={"task": SCRIPT}) for c in system.cells if c.task == "topic"],
            }
        )
        for system in language_results.systems
        if system.n_target == 16 or system.name == "english_model"
    ]
    texts = ("name", "created", "limbeck_version", "pairing", "prompts", "scorer", "resolved_run")
    return language_results.model_copy(
        update={
            **dict.fromkeys(texts, SCRIPT),
            "command": SCRIPT + " ```",
            "verdict": HOSTILE,
            "warnings": HOSTILE,
            "languages": languages,
            "language_names": {"en": SCRIPT, **dict(zip(languages, HOSTILE, strict=True))},
            "tasks": [SCRIPT],
            "kept_by_gate": {"de": 0.9, SCRIPT: 7.0},
            "records": {SCRIPT: 1},
            "systems": systems,
            "comparisons": [c for c in language_results.comparisons if c.n_target == 16],
            "english": [
                check.model_copy(update={"stage": SCRIPT, "system": SCRIPT}) for check in language_results.english
            ],
            "costs": [cost.model_copy(update={"name": SCRIPT}) for cost in language_results.costs[:1]],
            "stage_costs": [c.model_copy(update={"stage": SCRIPT}) for c in language_results.stage_costs],
            "curves": [
                c.model_copy(update={"stage": SCRIPT, "series": c.series + SCRIPT, "system": SCRIPT})
                for c in language_results.curves
                if c.system == "ml_dft"
            ],
            "environment": {SCRIPT: SCRIPT},
            "data_fingerprints": {"$": SCRIPT},
        }
    )


@pytest.fixture(scope="session")
def language_figures(language_results: LanguageResults) -> LanguageFigures:
    return draw_language_figures(language_results)


@pytest.fixture(scope="session")
def hostile_language_figures(hostile_language_results: LanguageResults) -> LanguageFigures:
    return draw_language_figures(hostile_language_results)


# A run on short questions: chance of a right word, loss of a token, by system.
WRITERS: dict[SystemName, tuple[float, float]] = {
    "teacher": (0.9, 2.2),
    "student_before": (0.1, 10.3),
    "fine_tuned": (0.6, 3.1),
    "distilled": (0.75, 2.8),
}
GENERATION_ROWS = 60
REFERENCE = "the river was used to carry 12 tonnes of stone and salt every year until 1871"


def written(rng: random.Random, right: float) -> str:
    return " ".join(
        word if rng.random() < right else rng.choice(["and", "so", "it", "goes"]) for word in REFERENCE.split()
    )


def writer(name: SystemName, rng: random.Random, right: float, loss: float) -> GeneratingSystem:
    teacher = name == "teacher"
    tokens = np.array([18 + row % 5 for row in range(GENERATION_ROWS)])
    return GeneratingSystem(
        name=name,
        title=TITLES[name][0],
        detail="12 layers of width 512" if teacher else "4 layers of width 256",
        speed=GenerationSpeed(
            parameters=48_000_000 if teacher else 11_000_000,
            size_bytes=192_000_000 if teacher else 44_000_000,
            tokens_per_second=310.0 if teacher else 1420.0,
            batch_size=8,
            peak_memory_bytes=910_000_000 if teacher else 402_000_000,
        ),
        outputs={
            seed: SystemOutputs(
                tokens_N=tokens,
                nll_sum_N=np.array([n * (loss + rng.gauss(0, 0.3)) for n in tokens]),
                kl_sum_N=None if teacher else np.array([n * (loss - 2.0 + rng.gauss(0, 0.05)) for n in tokens]),
                agreed_N=None if teacher else np.array([round(n * right) for n in tokens]),
                texts=[written(rng, right) for _ in tokens],
                cut_off_N=np.array([rng.random() < 0.05 for _ in tokens]),
            )
            for seed in ([0] if teacher else SEEDS)
        },
    )


def generation_run(writers: dict[SystemName, tuple[float, float]]) -> GenerationResults:
    """The record of a run whose systems have these chances of a right word and losses."""
    rng = random.Random(5)
    held_out = HeldOutTexts(
        prompts=[f"What was the river used for? ({row})" for row in range(GENERATION_ROWS)],
        references=[REFERENCE] * GENERATION_ROWS,
    )
    systems = [writer(name, rng, *ability) for name, ability in writers.items()]
    figures = measure_generation(systems, held_out)
    costs = [
        StageCost(
            stage=stage,
            system=name,
            seed=seed,
            seconds=seconds,
            steps=400,
            rows_seen=12_800,
            tokens_seen=1_100_000,
            peak_memory_bytes=1_900_000_000,
        )
        for name, stage, seconds in (("distilled", "logits", 512.0), ("fine_tuned", "fine-tune", 300.0))
        for seed in SEEDS
    ]
    return GenerationResults(
        name="Questions about rivers",
        created="2026-11-22T15:40:12Z",
        limbeck_version="0.1.0",
        command="limbeck distill rivers.yaml --set output=runs/rivers",
        verdict=generation_verdict(figures, costs),
        warnings=["12 held-out rows also occur in the training rows; figures may be too good."],
        task="prompt and completion",
        teacher="org/teacher-48m",
        student="configuration of 4 layers",
        encoder_decoder=False,
        recipe="kd",
        paper="Hinton et al., 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531",
        decoding="greedy, at most 32 tokens",
        seeds=SEEDS,
        train_rows=4_000,
        test_rows=GENERATION_ROWS,
        test_tokens=1_200,
        left_out_rows=3,
        figures=figures,
        curves=[c for c in curves(rng) if c.series in ("loss", "term/forward_kl")],
        costs=costs,
        resolved_run="task:\n  kind: generation\n",
        environment={"limbeck": "0.1.0", "cpu": "2 cores"},
        data_fingerprints={"train.jsonl": "sha256:" + "3f9a" * 16},
    )


@pytest.fixture(scope="session")
def generation_results() -> GenerationResults:
    return generation_run(WRITERS)


@pytest.fixture(scope="session")
def bare_generation_results(generation_results: GenerationResults) -> GenerationResults:
    """One student on plain text, without a teacher: all that may be absent is absent."""
    (student,) = (s for s in generation_results.figures.systems if s.name == "distilled")
    absent = ("perplexity", "nll_nats", "nll_by_row_nats", "kl_to_teacher_nats", "agreement", "rouge_l", "exact_match")
    speed = GenerationSpeed(
        parameters=11_000_000, size_bytes=44_000_000, tokens_per_second=None, batch_size=None, peak_memory_bytes=None
    )
    bare = student.model_copy(update={**dict.fromkeys([*absent, "written"]), "seeds": [], "speed": speed})
    figures = generation_results.figures.model_copy(
        update={
            "headline": "nll_nats",
            "systems": [bare],
            "comparisons": [],
            "retention": [],
            "samples": [],
            "warnings": [],
        }
    )
    return generation_results.model_copy(
        update={
            **{key: [] for key in ("verdict", "warnings", "curves", "costs")},
            "paper": "",
            "resolved_run": "",
            "environment": {},
            "data_fingerprints": {},
            "decoding": None,
            "left_out_rows": 0,
            "figures": figures,
        }
    )


@pytest.fixture(scope="session")
def hostile_generation_results(generation_results: GenerationResults) -> GenerationResults:
    figures = generation_results.figures
    (sample, *_) = figures.samples
    samples = [
        sample.model_copy(
            update={
                "row": row,
                "prompt": text,
                "reference": text,
                "answers": [a.model_copy(update={"text": text + SCRIPT}) for a in sample.answers],
            }
        )
        for row, text in enumerate(HOSTILE)
    ]
    systems = [s.model_copy(update={"title": SCRIPT + s.title, "detail": SCRIPT}) for s in figures.systems]
    texts = dict.fromkeys(
        ["name", "created", "limbeck_version", "task", "teacher", "student", "recipe", "paper", "decoding"], SCRIPT
    )
    return generation_results.model_copy(
        update={
            **texts,
            "command": SCRIPT + " ```",
            "verdict": HOSTILE,
            "warnings": HOSTILE,
            "figures": figures.model_copy(update={"systems": systems, "samples": samples, "warnings": HOSTILE}),
            "curves": [
                c.model_copy(update={"stage": SCRIPT, "series": c.series + SCRIPT})
                for c in generation_results.curves[:2]
            ],
            "costs": [c.model_copy(update={"stage": SCRIPT}) for c in generation_results.costs],
            "resolved_run": SCRIPT,
            "environment": {SCRIPT: SCRIPT},
            "data_fingerprints": {"$": SCRIPT},
        }
    )


@pytest.fixture(scope="session")
def generation_drawings(generation_results: GenerationResults) -> GenerationDrawings:
    return draw_generation_figures(generation_results)


@pytest.fixture(scope="session")
def hostile_generation_drawings(hostile_generation_results: GenerationResults) -> GenerationDrawings:
    return draw_generation_figures(hostile_generation_results)
