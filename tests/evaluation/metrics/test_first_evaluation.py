"""Metrics that are declared once give the very figures that each kind's own evaluation gave."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.evaluation.generation.measure import measure_generation
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.evaluation.metrics.classification import CLASSIFICATION, ClassifierOutputs
from limbeck.evaluation.metrics.generation import GENERATION, WriterOutputs
from limbeck.evaluation.metrics.measure import Sampled, compare, measure, ratio
from limbeck.evaluation.systems import HeldOut, Predictions, describe
from limbeck.evaluation.systems import compare as compare_first
from limbeck.generation_results import GenerationSpeed
from limbeck.results import Interval
from limbeck.types import Rows


def same(found: Sampled, expected: Interval | None) -> None:
    assert expected is not None
    assert found.interval.model_dump() == pytest.approx(expected.model_dump(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("rows", "classes", "seeds"), [(300, 5, [0, 1, 2]), (37, 3, [4]), (1300, 40, [1, 2])])
def test_classification(rows: int, classes: int, seeds: list[int]) -> None:
    rng = np.random.default_rng(rows)
    gold = rng.integers(0, classes - 1, rows)
    gold[::7] = -1

    def logits(skill: float) -> np.ndarray:
        found = rng.normal(size=(rows, classes))
        found[np.arange(rows), gold] += skill
        return found.astype(np.float32)

    teacher = {0: logits(2.5)}
    student, other = ({seed: logits(skill) for seed in seeds} for skill in (1.8, 1.2))
    labels = [f"c{c}" for c in range(classes)]
    held_out = HeldOut(Rows([""] * rows, None, [None] * rows, [""] * rows), gold, labels)
    predictions = {
        name: Predictions(name, name, "", 1, found)  # type: ignore[arg-type]
        for name, found in (("teacher", teacher), ("distilled", student), ("fine_tuned", other))
    }
    outputs = {
        name: {
            seed: ClassifierOutputs(found, gold, None if name == "teacher" else teacher[0])
            for seed, found in p.logits.items()
        }
        for name, p in predictions.items()
    }
    found = measure(outputs, CLASSIFICATION)
    for name, p in predictions.items():
        before = describe(p, None if name == "teacher" else predictions["teacher"], held_out, None)
        for metric, field in (("accuracy", "accuracy"), ("macro_f1", "macro_f1"), ("sensitivity", "sensitivity"),
                              ("specificity", "specificity"), ("agreement", "agreement"),
                              ("kl", "kl_to_teacher_nats")):  # fmt: skip
            if name == "teacher" and metric in ("agreement", "kl"):
                assert (name, metric) not in found
                continue
            same(found[name, metric], getattr(before, field))
            assert found[name, metric].seeds == pytest.approx({s.seed: getattr(s, field) for s in before.seeds})
        assert found[name, "loss"].interval.value == pytest.approx(before.loss_nats)
        assert found[name, "ece"].interval.value == pytest.approx(before.expected_calibration_error)
    for first, second in (("distilled", "fine_tuned"), ("distilled", "teacher")):
        for metric in ("accuracy", "macro_f1", *(["agreement"] if second != "teacher" else [])):
            old = compare_first(predictions[first], predictions[second], predictions["teacher"], held_out, metric)
            new = compare((first, found[first, metric]), (second, found[second, metric]), metric)
            assert new.interval is not None
            assert new.interval.model_dump() == pytest.approx(old.difference.model_dump(), rel=1e-9, abs=1e-12)
            assert new.p_value() == pytest.approx(old.bootstrap_p_value)
            assert list(new.seeds.values()) == pytest.approx(old.per_seed_difference)
            assert new.p_value("t") == pytest.approx(old.t_test_p_value)
            tests = [t for t in new.tests if t.name == "mcnemar" and metric == "accuracy"]
            assert [(t.seed, t.p_value, t.details["only_first_right"]) for t in tests] == [
                (t.seed, t.p_value, t.only_first_right) for t in old.mcnemar
            ]


def test_generation() -> None:
    rng = np.random.default_rng(5)
    rows, seeds = 90, [0, 1, 2]
    references = [f"the answer to question {row % 11} is {row}" for row in range(rows)]
    tokens = rng.integers(3, 40, rows)

    def outputs(skill: float, teacher: bool) -> SystemOutputs:
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
        "fine_tuned": {seed: outputs(0.6, False) for seed in seeds},
        "distilled": {seed: outputs(0.7, False) for seed in seeds},
    }
    before = measure_generation(
        [GeneratingSystem(name, name, "", speed, found) for name, found in systems.items()],  # type: ignore[arg-type]
        HeldOutTexts([""] * rows, references),
        metrics=("rouge_l", "exact_match", "numeric_match"),
    )
    found = measure(
        {name: {s: WriterOutputs(o, references) for s, o in by_seed.items()} for name, by_seed in systems.items()},
        GENERATION,
    )
    names = {"kl": "kl_to_teacher_nats", "nll": "nll_nats", "nll_by_row": "nll_by_row_nats"}
    for old in before.systems:
        for one in GENERATION:
            key = one.metric.key
            field = names.get(key, key)
            expected = getattr(old, field) if hasattr(old, field) else getattr(old.written, field)
            if expected is None:
                assert (old.name, key) not in found
            else:
                same(found[old.name, key], expected)
                if hasattr(old.seeds[0], field):
                    figure = found[old.name, key].figure(old.name, key)
                    assert figure.seeds == pytest.approx({s.seed: getattr(s, field) for s in old.seeds})
    keys = {field: key for key, field in names.items()}
    for c in before.comparisons:
        key = keys.get(c.metric, c.metric)
        new = compare((c.first, found[c.first, key]), (c.second, found[c.second, key]), key)
        assert new.interval is not None
        assert new.interval.model_dump() == pytest.approx(c.difference.model_dump(), rel=1e-9, abs=1e-12)
        assert new.p_value() == pytest.approx(c.bootstrap_p_value)
        assert list(new.seeds.values()) == pytest.approx(c.per_seed_difference)
        assert new.p_value("t") == pytest.approx(c.t_test_p_value)
    for kept in before.retention:
        share = ratio(found["teacher", kept.metric], found[kept.system, kept.metric])
        if kept.metric != "perplexity":
            share = ratio(found[kept.system, kept.metric], found["teacher", kept.metric])
        assert share is not None
        assert share.model_dump() == pytest.approx(kept.kept.model_dump(), rel=1e-9)
