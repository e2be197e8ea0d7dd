"""The memory plan of a run: what is in it, what changes it, and what it advises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.models.load import load_classifier, load_tokenizer, new_classifier
from limbeck.models.step_memory import StepMemory, without_memory
from limbeck.numerics.memory_plan import NF4_BITS
from limbeck.runs.config import run_config
from limbeck.students.adapters import Adapter, trainable_parameters
from limbeck.tasks import step_plan as plan_module
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.memory import MemoryPlan, plan_memory
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.classification.simple_baselines import pretrained_encoder
from limbeck.tasks.classification.student import make_student


def checked(sections: dict[str, Any], **changes: Any) -> RunConfig:
    config = run_config(sections | changes)
    assert isinstance(config, RunConfig)
    return config


def items(plan: MemoryPlan, phase: str) -> dict[str, float]:
    (found,) = [p for p in plan.phases if p.name == phase]
    return {item.name: item.bytes for item in found.items}


def test_weights_and_optimiser_are_those_of_the_runs_models(sections: dict[str, Any], encoder_folder: Path) -> None:
    config = checked(sections)
    plan = plan_memory(config, available=1e12)
    assert [phase.name for phase in plan.phases] == ["fine-tuning the teacher", "training the student", "predicting"]
    labels = read_rows(config).labels
    teacher = load_classifier(str(encoder_folder), labels=labels)
    student = make_student(config, teacher, load_tokenizer(str(encoder_folder)), labels, 0)
    of_teacher, of_student = (sum(p.numel() for p in model.parameters()) for model in (teacher, student))
    found = items(plan, "training the student")
    assert found["teacher's weights"] == 4 * of_teacher
    buffers = sum(b.numel() * b.element_size() for b in student.buffers())
    assert found["student's weights"] == 4 * of_student + buffers
    assert found["student's optimiser"] == 8 * of_student
    assert found["first student"] == found["student's weights"]
    assert items(plan, "fine-tuning the teacher")["teacher's optimiser"] == 8 * of_teacher
    assert plan.fits
    assert plan.advice == []
    longest = max(len(ids) for ids in load_tokenizer(str(encoder_folder))(read_rows(config).train.text)["input_ids"])
    assert plan.batch == f"16 rows of {longest} tokens at a time, 16 for each optimiser step"


@pytest.fixture
def traced_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every trained row take a megabyte, so that plans cost no time; tracing has tests of its own."""

    def trace(
        make: Callable[[], Any], *, rows: int, tokens: int, bf16: bool = False, train: bool = True, probes: Any = ()
    ) -> StepMemory:
        with without_memory():
            model = make()
        every = sum(p.numel() for p in model.parameters())
        trained = trainable_parameters(model)
        gradients, activations = 4 * trained * train, rows * (1_000_000 if train else 1000)
        return StepMemory(4 * every, trained, gradients, activations)

    monkeypatch.setattr(plan_module, "trace_step", trace)
    monkeypatch.setattr(plan_module, "resident_memory_bytes", lambda: 500_000_000)


def test_the_frozen_encoder_is_loaded_beside_the_models(sections: dict[str, Any], encoder_folder: Path) -> None:
    plan = plan_memory(checked({**sections, "simple_baselines": True}), available=1e12)
    reading = "reading with the frozen encoder"
    assert [phase.name for phase in plan.phases][-2:] == [reading, "predicting"]
    encoder = new_classifier(str(encoder_folder), labels=["a", "b", "c", "d"])
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    extra = set(items(plan, reading)) - set(items(plan, "predicting"))
    assert {name: items(plan, reading)[name] for name in extra} == {"encoder's weights": 4 * parameters}
    # A run whose teacher is trained already has none.
    finished = {**sections, "teacher": {"model": str(encoder_folder)}, "simple_baselines": True}
    assert isinstance(pretrained_encoder(run_config(finished)), str)


@pytest.mark.usefixtures("traced_by_rows")
def test_what_saves_memory_saves_it_in_the_plan(sections: dict[str, Any], encoder_folder: Path) -> None:
    sections["training"] |= {"micro_batch_size": 4, "optim": "sgd"}
    split = items(plan_memory(checked(sections), available=1e12), "training the student")
    assert split["student's activations"] == 4e6
    assert split["allocator"] == (4e6 + split["student's gradients"]) / 4
    sections["student"] |= {"adapter": {"kind": "lora", "rank": 2}}
    config = checked(sections)
    adapted = items(plan_memory(config, available=1e12), "training the student")
    labels = read_rows(config).labels
    teacher = load_classifier(str(encoder_folder), labels=labels)
    student = make_student(config, teacher, load_tokenizer(str(encoder_folder)), labels, 0)
    trained = trainable_parameters(student)
    assert adapted["student's optimiser"] == 4 * trained
    assert adapted["student's gradients"] == 4 * trained
    assert adapted["allocator"] == 4e6 + 4 * trained
    assert adapted["first student"] == adapted["student's weights"]


@pytest.mark.slow
@pytest.mark.usefixtures("traced_by_rows")
def test_steps_whose_rows_are_compared_are_not_split(sections: dict[str, Any]) -> None:
    of_all = {"name": "setfit", "loss": "supervised_contrastive"}
    for changes, split in (
        ({}, ["training.micro_batch_size: 8", "training.micro_batch_size: 1"]),
        ({"baselines": ["setfit"]}, ["training.micro_batch_size: 8"]),
        ({"baselines": [of_all]}, []),
        ({"teacher": {**sections["teacher"], "recipe": of_all}}, []),
    ):
        advice = plan_memory(checked({**sections, **changes}), available=1e6).advice
        assert [line.partition(":")[0] + ":" + line.split(":")[1].split(",")[0] for line in advice[1:]
                if "micro_batch" in line] == split  # fmt: skip


@pytest.mark.usefixtures("traced_by_rows")
def test_the_allocator_counts_where_a_cpu_trains(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_memory(checked(sections), available=1e12)
    assert [phase.name for phase in plan.phases if "allocator" in items(plan, phase.name)] == [
        "fine-tuning the teacher",
        "training the student",
    ]
    monkeypatch.setattr(plan_module, "device", lambda: "cuda:0")
    for phase in plan_memory(checked(sections), available=1e12).phases:
        assert "allocator" not in {item.name for item in phase.items}


@pytest.mark.slow
@pytest.mark.usefixtures("traced_by_rows")
def test_a_teacher_that_runs_along_has_activations(sections: dict[str, Any]) -> None:
    small = items(plan_memory(checked(sections), available=1e12), "training the student")
    assert "teacher's activations" not in small
    sections["recipe"] = {"name": "distilbert"}
    found = items(plan_memory(checked(sections), available=1e12), "training the student")
    assert found["teacher's activations"] > 16 * 1000


@pytest.mark.slow
@pytest.mark.usefixtures("traced_by_rows")
def test_advice_is_what_suffices(sections: dict[str, Any]) -> None:
    sections["teacher"]["fine_tune"] |= {"batch_size": 16}
    config = checked(sections)
    needed = plan_memory(config, available=1e12).worst.bytes
    plan = plan_memory(config, available=needed - 6e6)
    assert not plan.fits
    assert plan.advice[0].startswith("The run needs ")
    assert [line.rsplit(":", 1)[0] for line in plan.advice[1:]] == [
        "training.micro_batch_size: 8, and in teacher.fine_tune"
    ]
    assert plan.advice[-1].endswith(", which fits.")
    hopeless = plan_memory(config, available=1e6)
    assert [line.rsplit(":", 1)[0] for line in hopeless.advice[1:-1]] == [
        "training.micro_batch_size: 8, and in teacher.fine_tune",
        "training.micro_batch_size: 1, and in teacher.fine_tune",
        "student.adapter: {kind: lora, rank: 8}, with it",
    ]
    assert hopeless.advice[-1] == "A smaller student or teacher, or a device with more memory, is needed."


@pytest.mark.slow
@pytest.mark.usefixtures("traced_by_rows")
def test_a_quantised_base_is_counted_in_bits(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    sections["student"] |= {"adapter": Adapter(kind="qlora", rank=2)}
    monkeypatch.setattr(plan_module, "quantises", lambda adapter: False)
    whole = items(plan_memory(checked(sections), available=1e12), "training the student")["student's weights"]
    monkeypatch.setattr(plan_module, "quantises", lambda adapter: adapter is not None and adapter.kind == "qlora")
    found = items(plan_memory(checked(sections), available=1e12), "training the student")
    # Two BERT layers of 32: query, key, value, output; 64 in the middle.
    linear = 2 * (4 * 32 * 32 + 2 * 32 * 64)
    assert found["student's 4-bit weights"] == linear * NF4_BITS / 8
    assert found["one matrix in full precision"] == 4 * 32 * 64
    assert found["student's other weights"] == whole - 4 * linear


@pytest.mark.usefixtures("traced_by_rows")
def test_each_model_of_an_ensemble_has_a_phase_of_its_own(sections: dict[str, Any], encoder_folder: Path) -> None:
    member = {"model": str(encoder_folder), "training": {"batch_size": 8, "optim": "sgd"}}
    larger = {"model": str(encoder_folder), "training": {"batch_size": 32}}
    frozen = member | {"recipe": "linear_probe"}
    sections |= {
        "teacher": {"ensemble": {"members": ["tfidf", member, member, larger, frozen]}},
        "student": {"model": str(encoder_folder)},
    }
    plan = plan_memory(checked(sections), available=1e12)
    title = f"training the teacher's member {encoder_folder.name}"
    reading = title.replace("training", "reading with")
    assert [phase.name for phase in plan.phases] == [title, title, reading, "training the student", "predicting"]
    assert "member's optimiser" not in items(plan, reading)
    small, large = ({item.name: item.bytes for item in phase.items} for phase in plan.phases[:2])
    assert (small["member's activations"], large["member's activations"]) == (8e6, 32e6)
    assert large["member's optimiser"] == 2 * small["member's optimiser"]
    assert small["first student"] > 0
    assert "teacher's weights" not in {item.name for phase in plan.phases for item in phase.items}
