"""Records of runs that label: a complete one, a bare one, and one whose every text is hostile."""

from __future__ import annotations

import math
import random

import pytest
from tests.report.samples import HOSTILE, SCRIPT, SEEDS, TITLES, interval

from limbeck.report.figures import Figures, draw_figures
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
QUALITY: dict[SystemName, float] = {
    "teacher": 0.932,
    "student_before": 0.023,
    "fine_tuned": 0.884,
    "distilled": 0.903,
}


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


def at_chance(results: Results, *, p_value: float) -> Results:
    """Give the record a label that is right on 88 % of the rows."""
    level = Interval(value=0.88, low=0.86, high=0.9)
    teacher = results.systems[0]
    constant = teacher.model_copy(
        update={"name": "most_frequent", "title": "Always the most frequent label", "accuracy": level, "speed": None}
    )
    comparison = Comparison(
        first="distilled", second="most_frequent", metric="accuracy",
        difference=Interval(value=0.02, low=-0.01, high=0.05), bootstrap_p_value=p_value, mcnemar=[],
        per_seed_difference=[0.02], t_test_p_value=None,
    )  # fmt: skip
    return results.model_copy(update={"most_frequent": constant, "comparisons": [*results.comparisons, comparison]})
