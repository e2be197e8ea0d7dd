"""Records of cross-lingual runs: a complete one, a bare one, and one whose every text is hostile."""

from __future__ import annotations

import math
import random

import pytest
from tests.report.samples import HOSTILE, SCRIPT, SEEDS, interval

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
from limbeck.report.language_figures import LanguageFigures, draw_language_figures
from limbeck.results import (
    Curve,
    McNemar,
    StageCost,
)

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
