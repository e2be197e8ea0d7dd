"""Records of runs that write: a complete one, a bare one, and one whose every text is hostile."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.report.label_samples import curves
from tests.report.samples import HOSTILE, SCRIPT, SEEDS, TITLES

from limbeck.evaluation.generation.measure import measure_generation
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.verdict import generation_verdict
from limbeck.generation_results import GenerationResults, GenerationSpeed
from limbeck.report.generation_figures import GenerationDrawings, draw_generation_figures
from limbeck.results import (
    StageCost,
    SystemName,
)

# A run on short questions: chance of a right word, loss of a token, by system.
WRITERS: dict[SystemName, tuple[float, float]] = {
    "teacher": (0.9, 2.2),
    "student_before": (0.1, 10.3),
    "fine_tuned": (0.6, 3.1),
    "distilled": (0.75, 2.8),
}
GENERATION_ROWS = 60
REFERENCES = [
    f"the river was used to carry 12 tonnes of stone and salt every year until {1811 + row}"
    for row in range(GENERATION_ROWS)
]


def written(rng: random.Random, right: float, reference: str) -> str:
    return " ".join(
        word if rng.random() < right else rng.choice(["and", "so", "it", "goes"]) for word in reference.split()
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
                texts=[written(rng, right, reference) for reference in REFERENCES],
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
        references=REFERENCES,
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
