"""Metrics that are declared once give the very figures that each kind's own evaluation gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from limbeck.evaluation.classification import Classified, measure_classification
from limbeck.evaluation.classification import HeldOut as NewHeldOut
from limbeck.evaluation.cross_lingual import Panel, Ranked, measure_languages
from limbeck.evaluation.generation.measure import measure_generation
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.evaluation.languages import Credits as OldCredits
from limbeck.evaluation.languages import Panel as OldPanel
from limbeck.evaluation.languages import language_records
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.metrics.ranking import Credits
from limbeck.evaluation.systems import HeldOut, Predictions, compare, describe, describe_constant, disagreements
from limbeck.evaluation.systems import always_the_most_frequent as old_constant
from limbeck.evaluation.writing import Writer, measure_writing
from limbeck.generation_results import GenerationSpeed
from limbeck.results.record import Results, Role, System
from limbeck.results.sections import Classes, Confusion, Disagreements, Languages, Reliability, Retention, Samples
from limbeck.results.upgrade import upgrade
from limbeck.types import Rows

ROLES: dict[str, Role] = {
    "teacher": "teacher",
    "distilled": "main",
    "fine_tuned": "baseline",
    "student_before": "student_init",
}
NAMES = {"fine_tuned": "fine_tune", "student_before": "student_init"}
RUN = {
    "name": "", "created": "", "limbeck_version": "", "command": "", "verdict": [], "warnings": [], "curves": [],
    "resolved_run": "", "environment": {}, "data_fingerprints": {}, "costs": [],
}  # fmt: skip


def described(name: str, control: bool = True) -> System:
    role = ROLES[name]
    return System(name=NAMES.get(name, name), title=name, role=role, control=role == "baseline" and control)


def same(found: Measured, old: dict[str, Any], sections: Sequence[type]) -> None:
    before = Results.model_validate(upgrade({**RUN, **old}))
    now = before.model_copy(update={"figures": found.figures, "comparisons": found.comparisons})
    for was in before.figures:
        figure = now.figure(was.system, was.metric, slice=was.slice, budget=was.budget)
        assert figure is not None, was
        kept = {"value": was.value} if was.low is None else {"value": was.value, "low": was.low, "high": was.high}
        assert {key: getattr(figure, key) for key in kept} == pytest.approx(kept, rel=1e-9, abs=1e-12), was
        if was.seeds:
            assert figure.seeds == pytest.approx(was.seeds), was
        assert was.rows in (None, figure.rows), was
    for was in before.comparisons:
        one = now.comparison(was.first, was.second, was.metric, slice=was.slice, budget=was.budget)
        assert one is not None, was
        kept = {"value": was.value} if was.low is None else {"value": was.value, "low": was.low, "high": was.high}
        assert {key: getattr(one, key) for key in kept} == pytest.approx(kept, rel=1e-9, abs=1e-12), was
        if was.seeds:
            assert one.seeds == pytest.approx(was.seeds), was
        if was.slice.keys() <= {"lang"}:
            for name in ("bootstrap", "t", "holm"):
                assert one.p_value(name) == pytest.approx(was.p_value(name)), was
            mcnemar = [t.model_dump(exclude={"seed"}) for t in one.tests if t.name == "mcnemar"]
            before_mcnemar = [t.model_dump(exclude={"seed"}) for t in was.tests if t.name == "mcnemar"]
            assert mcnemar == before_mcnemar, was
    assert found.headline == before.headline
    for kind in sections:
        new = next(section for section in found.sections if isinstance(section, kind))
        old_section = before.section(kind)
        assert old_section is not None
        for new_part, old_part in zip(parts(new.model_dump()), parts(old_section.model_dump()), strict=True):
            assert new_part == pytest.approx(old_part)


def parts(value: Any) -> list[Any]:
    """All leaves, in order."""
    if isinstance(value, Mapping):
        return [part for key in sorted(value) for part in [key, *parts(value[key])]]
    return [part for item in value for part in parts(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize(("rows", "classes", "seeds"), [(300, 5, [0, 1, 2]), (37, 3, [4]), (700, 20, [1, 2])])
@pytest.mark.parametrize("labelled", [True, False])
def test_classification(rows: int, classes: int, seeds: list[int], labelled: bool) -> None:
    rng = np.random.default_rng(rows)
    gold = rng.integers(0, classes - 1, rows)

    def logits(skill: float) -> np.ndarray:
        found = rng.normal(size=(rows, classes))
        found[np.arange(rows), gold] += skill
        return found.astype(np.float32)

    systems = {
        "teacher": {0: logits(2.5)},
        "student_before": {seed: logits(0.1) for seed in seeds},
        "fine_tuned": {seed: logits(1.2) for seed in seeds},
        "distilled": {seed: logits(1.8) for seed in seeds},
    }
    gold[:: 7 if labelled else 1] = -1
    labels = [f"c{c}" for c in range(classes)]
    texts = Rows([f"row {n}" for n in range(rows)], None, [None] * rows, [None] * rows)  # type: ignore[list-item]
    found = measure_classification(
        [Classified(described(name), of) for name, of in systems.items()], NewHeldOut(texts, gold, labels)
    )
    held_out = HeldOut(texts, gold, labels)
    predictions = {n: Predictions(n, n, "", None, of) for n, of in systems.items()}  # type: ignore[arg-type]
    teacher, constant = predictions["teacher"], old_constant(held_out)
    pairs = [("distilled", "fine_tuned"), ("distilled", "teacher"), ("fine_tuned", "teacher"),
             ("distilled", "student_before")]  # fmt: skip
    comparisons = [
        compare(predictions[a], predictions[b], teacher, held_out, metric)
        for a, b in pairs
        for metric in (["accuracy", "macro_f1"] if labelled else []) + ([] if b == "teacher" else ["agreement"])
    ]
    if constant:
        comparisons.append(compare(predictions["distilled"], constant, teacher, held_out, "accuracy"))
    assert len(found.comparisons) == len(comparisons)
    old = {
        "format": "limbeck-results-1", "recipe": "kd", "labels": labels, "train_rows": 1, "labelled_rows": 1,
        "test_rows": rows, "left_out_rows": 0,
        "systems": [
            describe(p, None if n == "teacher" else teacher, held_out, None).model_dump()
            for n, p in predictions.items()
        ],
        "comparisons": [c.model_dump() for c in comparisons],
        "disagreements": [d.model_dump() for d in disagreements(predictions["distilled"], teacher, held_out)],
        "most_frequent": describe_constant(constant, teacher, held_out).model_dump() if constant else None,
    }  # fmt: skip
    same(found, old, [Classes, Reliability, Confusion, Disagreements])
    assert [s.title for s in found.systems if s.role == "constant"] == (["Always the most frequent label"] * labelled)


@pytest.mark.parametrize("asked", [("rouge_l", "exact_match", "numeric_match"), ("rouge_l",)])
def test_generation(asked: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    rows, seeds = 90, [0, 1, 2]
    references = [f"the answer to question {row % 5} is {row % 5}" for row in range(rows)]
    tokens = rng.integers(3, 40, rows)

    def outputs(skill: float, teacher: bool = False) -> SystemOutputs:
        texts = [
            None if row % 3 == 0 else " ".join(w if rng.random() < skill else "so" for w in reference.split())
            for row, reference in enumerate(references)
        ]
        return SystemOutputs(
            tokens_N=tokens,
            nll_sum_N=tokens * (3 - skill + rng.normal(0, 0.3, rows)),
            kl_sum_N=None if teacher else tokens * rng.random(rows),
            agreed_N=None if teacher else rng.integers(0, tokens),
            texts=texts,
            cut_off_N=rng.random(rows) < 0.2,
        )

    speed = GenerationSpeed(parameters=1, size_bytes=1, tokens_per_second=1, batch_size=1, peak_memory_bytes=1)
    systems = {
        "teacher": {0: outputs(0.9, True)},
        "student_before": {0: outputs(0.1)},
        "fine_tuned": {seed: outputs(0.6) for seed in seeds},
        "distilled": {seed: outputs(0.7) for seed in seeds},
    }
    held_out = HeldOutTexts([f"question {row}" for row in range(rows)], references)
    before = measure_generation(
        [GeneratingSystem(n, n, "", speed, found) for n, found in systems.items()],  # type: ignore[arg-type]
        held_out,
        metrics=asked,  # type: ignore[arg-type]
    )
    assert before.one_answer is not None
    old = {
        "format": "limbeck-generation-1", "recipe": "kd", "seeds": seeds, "teacher": "", "student": "", "task": "",
        "encoder_decoder": False, "decoding": "", "test_tokens": 1, "figures": before.model_dump(),
    }  # fmt: skip
    found = measure_writing(
        [Writer(described(name), of) for name, of in systems.items()],
        held_out,
        metrics=asked,  # type: ignore[arg-type]
    )
    same(found, old, [Samples])
    (kept,) = (section for section in found.sections if isinstance(section, Retention))
    assert {(k.system, k.metric): pytest.approx(k.kept.model_dump()) for k in kept.kept} == {
        (NAMES.get(k.system, k.system), k.metric): k.kept.model_dump() for k in before.retention
    }


def test_ranking() -> None:
    rng = np.random.default_rng(8)
    sizes = {("topic", "en"): 20, ("topic", "de"): 40, ("pair", "de"): 10, ("topic", "sw"): 30, ("pair", "sw"): 25}
    columns = {
        "task": [task for (task, _), n in sizes.items() for _ in range(n)],
        "lang": [lang for (_, lang), n in sizes.items() for _ in range(n)],
        "candidates": [4 for n in sizes.values() for _ in range(n)],
    }
    shared = {"source_language": "en", "languages": ["sw", "de"], "low_resource": frozenset({"sw"})}
    rows = len(columns["task"])
    of_topics = np.array([task == "topic" for task in columns["task"]])

    def credits(right: float) -> Credits:
        hits = (rng.random(rows) < right).astype(np.float64)
        ndcg = np.where(of_topics & (np.arange(rows) % 3 == 0), rng.random(rows), np.nan)
        spans = np.where(of_topics[:, None], np.nan, rng.integers(0, 2, (rows, 3)))
        return Credits(hits, np.where(hits > 0, 1.0, rng.choice([0.5, 0.25], rows)), ndcg, spans.astype(np.float64))

    shape = [("english_model", 0, [0, 1, 2, 3], 0.6), ("gold", 0, [0, 1, 2, 3], 0.7), ("ml_dft", 0, [0], 0.5),
             ("gold", 16, [0, 1, 2, 3], 0.8), ("transfer", 16, [0, 1, 2, 3], 0.75)]  # fmt: skip
    earned = {(name, n): {seed: credits(right) for seed in seeds} for name, n, seeds, right in shape}
    old_credits = {
        (name, n): OldCredits(name, name, n, *(
            {seed: getattr(c, field) for seed, c in by_seed.items()}
            for field in ("accuracy_N", "reciprocal_rank_N", "ndcg_N", "spans_N3")
        ))
        for (name, n), by_seed in earned.items()
    }  # fmt: skip
    pairs = [(old_credits[a], old_credits[b]) for a, b in (
        (("gold", 0), ("english_model", 0)), (("gold", 0), ("ml_dft", 0)), (("gold", 16), ("transfer", 16)),
    )]  # fmt: skip
    panel = OldPanel(**columns, **shared)
    systems, comparisons = language_records(panel, list(old_credits.values()), pairs, resamples=500)
    old = {
        "format": "limbeck-languages-1", **shared,
        "language_names": {"en": "English", "sw": "Swahili", "de": "German"},
        "tasks": ["topic", "pair"], "seeds": [0, 1, 2, 3], "pairing": "", "prompts": "", "scorer": "",
        "kept_by_gate": {}, "records": {}, "english": [], "stage_costs": [], "most_frequent": 0.25,
        "systems": [s.model_dump() for s in systems], "comparisons": [c.model_dump() for c in comparisons],
    }  # fmt: skip

    def ranked(name: str, n: int) -> Ranked:
        role: Role = "teacher" if name == "english_model" else "main" if name == "gold" else "baseline"
        known = System(name="teacher" if role == "teacher" else name, title=name, role=role)
        return Ranked(known, n, earned[name, n])

    found = measure_languages(
        Panel(**columns, **shared), [ranked(*key) for key in earned], constant=0.25, resamples=500
    )
    same(found, old, [Languages])
    assert len(found.comparisons) == len(Results.model_validate(upgrade({**RUN, **old})).comparisons)
