"""MobileBERT: each layer's stage against its formula in float64, what it trains, and whole runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.evaluation.measured import value
from tests.runs.interruption import StopAfter
from tests.tasks.masked_lm.masked_models import make_model, masked_sections, save
from torch import Tensor, nn

import limbeck
from limbeck.errors import ConfigError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.objective import Objective
from limbeck.losses.readout import MaskedReadout
from limbeck.losses.targets import BinaryKL, SquaredError
from limbeck.losses.term import bind_terms
from limbeck.models.layers import layer_list, shapes
from limbeck.models.load import load_masked_lm
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.mobilebert import mobilebert
from limbeck.stages.stage import Training
from limbeck.stages.unfreezing import OneLayer, training_only
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import UNLABELLED, Batch

LAYERS, LENGTHS = 3, (6, 3, 4)
STUDENT: dict[str, Any] = {
    "model_type": "mobilebert", "hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
    "intermediate_size": 16, "intra_bottleneck_size": 8, "embedding_size": 8, "max_position_embeddings": 32,
}  # fmt: skip
IB_BERT: dict[str, Any] = {
    **STUDENT, "intra_bottleneck_size": 32, "intermediate_size": 64, "num_feedforward_networks": 1,
    "use_bottleneck_attention": True, "key_query_shared_bottleneck": False, "normalization_type": "layer_norm",
    "hidden_act": "gelu",
}  # fmt: skip


def pair() -> tuple[Any, Any]:
    models = [
        make_model(seed, **fields, attention_probs_dropout_prob=0.0, initializer_range=0.4).double()
        for seed, fields in ((2, IB_BERT), (1, STUDENT))
    ]
    for model in models:
        model.set_attn_implementation("eager")  # the fast kernel of a CPU has an exponential that is not exact
    return models[0].eval(), models[1]


def batch_of(rows: Sequence[int] = range(3), more: int = 0) -> Batch:
    mask = (torch.arange(max(LENGTHS) + more) < torch.tensor(LENGTHS)[:, None]).long()
    ids = (5 + (torch.arange(mask.shape[1]) + torch.tensor([[0], [7], [11]])) % 20) * mask
    labels = torch.where((torch.arange(mask.shape[1]) % 2 == 1) & mask.bool(), 7, UNLABELLED)
    picked = torch.tensor(list(rows))
    inputs = {"input_ids": ids[picked], "attention_mask": mask[picked]}
    return {"student": inputs, "teacher": inputs, "labels_BT": labels[picked], "rows_B": picked}


def step(stage: int, teacher: Any, student: Any, batches: Sequence[Batch]) -> tuple[float, dict[str, float], Tensor]:
    """Return loss, terms and gradient of one optimiser step of a stage; what it does not train has a gradient of 0."""
    made = build_recipe("mobilebert", {"layers": LAYERS}, "masked_lm").stages[stage]
    objective = Objective(student, bind_terms(made.terms, shapes(teacher, student)), MaskedReadout())
    student.zero_grad()
    counts, total, logged = objective.count(batches), 0.0, dict[str, float]()
    with training_only(student, made.trains):
        for batch in batches:
            batch["signal"] = LanguageTeacher(teacher).signal(batch, objective.needs)
            loss, parts = objective(batch, counts)
            loss.backward()
            total += loss.item()
            logged = {name: logged.get(name, 0.0) + part.item() for name, part in parts.items()}
    return total, logged, gradient_of(student)


def gradient_of(model: nn.Module) -> Tensor:
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


def inner(model: Any, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs of the layers, and the scores of their heads from the inputs of queries and keys."""
    parts: dict[str, list[Tensor]] = {"query": [], "key": []}
    handles = [
        getattr(layer.attention.self, side).register_forward_hook(lambda m, i, o, side=side: parts[side].append(o))
        for layer in layer_list(model)[1]
        for side in parts
    ]
    hidden = model(**batch["student"], output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    split = {side: [x.unflatten(-1, (2, -1)).transpose(1, 2) for x in found] for side, found in parts.items()}
    scores = [q @ k.mT / q.shape[-1] ** 0.5 for q, k in zip(split["query"], split["key"], strict=True)]
    return list(hidden[1:]), scores


def layer_loss(teacher: Any, student: Any, batch: Batch, layer: int) -> dict[str, Tensor]:
    """The terms of one layer, token by token and row by row."""
    (states_T, scores_T), (states_S, scores_S) = (inner(model, batch) for model in (teacher, student))
    read = batch["student"]["attention_mask"].bool()
    h_T, h_S = states_T[layer][read].detach(), states_S[layer][read]
    means = [h.mean(dim=-1) for h in (h_T, h_S)]
    variances = [h.var(dim=-1, correction=0) for h in (h_T, h_S)]
    normed = [
        (h - mean[:, None]) / (variance[:, None] + 1e-5).sqrt()
        for h, mean, variance in zip((h_T, h_S), means, variances, strict=True)
    ]
    rows = []
    for row, length in enumerate(LENGTHS):
        log_p, log_q = (x[layer][row, :, :length, :length].log_softmax(-1) for x in (scores_T, scores_S))
        rows.append((log_p.detach().exp() * (log_p.detach() - log_q)).sum(-1).mean())
    return {
        "states": (normed[1] - normed[0]).square().mean(),
        "means": (means[1] - means[0]).square().mean(),
        "variances": (variances[1] - variances[0]).abs().mean(),
        "attention": torch.stack(rows).mean(),
    }


@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_stage_is_the_formula_of_its_layer_alone(layer: int) -> None:
    teacher, student = pair()
    loss, logged, gradient = step(layer, teacher, student, [batch_of(more=2)])
    student.zero_grad()
    terms = layer_loss(teacher, student, batch_of(), layer)
    weights = {"states": 100, "means": 5000, "variances": 5, "attention": 1}
    assert logged == pytest.approx({f"term/{name}": term.item() for name, term in terms.items()}, rel=1e-6)
    expected = torch.stack([weights[name] * term for name, term in terms.items()]).sum() / LAYERS
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    expected.backward()
    own = {id(parameter) for parameter in layer_list(student)[1][layer].parameters()}
    for parameter in student.parameters():
        if id(parameter) not in own:
            parameter.grad = None
    assert gradient.abs().max() > 0.1
    torch.testing.assert_close(gradient, gradient_of(student), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stage", range(LAYERS + 1))
def test_padding_and_micro_batches_change_nothing(stage: int) -> None:
    teacher, student = pair()
    loss, logged, gradient = step(stage, teacher, student, [batch_of()])
    for batches in ([batch_of(more=3)], [batch_of([2]), batch_of([0, 1], more=1)]):
        other, other_logged, other_gradient = step(stage, teacher, student, batches)
        assert other == pytest.approx(loss, rel=1e-6)
        assert other_logged == pytest.approx(logged, rel=1e-6)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-6, atol=1e-8)


def test_a_copy_of_the_teacher_has_nothing_to_learn() -> None:
    teacher, _ = pair()
    student = copy.deepcopy(teacher)
    for stage in range(LAYERS):
        loss, _, gradient = step(stage, teacher, student, [batch_of()])
        assert loss == pytest.approx(0, abs=1e-12)
        assert gradient.abs().max() < 1e-6


def test_stages_and_their_settings() -> None:
    *layers, last = mobilebert().stages
    assert [stage.trains for stage in layers] == [OneLayer(layer) for layer in range(1, 25)]
    assert sum(stage.share for stage in layers) == pytest.approx(240 / 740, abs=1e-3)
    for stage in layers:
        training = stage.training(Training(learning_rate=1e-3, schedule="cosine", dropout=0.1))
        assert training == Training(
            learning_rate=3 * 1e-3, schedule="constant", warmup_ratio=0.1, dropout=0.0
        )  # fmt: skip
        assert {term.name: term.weight * 24 for term in stage.terms} == pytest.approx(
            {"states": 100, "means": 5000, "variances": 5, "attention": 1}
        )
        assert stage.only_hints
    assert last.training(Training(dropout=0.1)) == Training(dropout=0.0)
    assert (last.trains, last.only_hints) == ("all", False)
    assert {term.term: term.weight for term in last.terms} == {ForwardKL(1.0): 0.5, LabelCrossEntropy(): 0.5}
    for kind, soft in (("regression", SquaredError("teacher")), ("multi_label", BinaryKL(1.0))):
        assert build_recipe("mobilebert", {}, kind).stages[-1].terms[0].term == soft
    assert set(recipe_card("mobilebert").kinds) == {
        "classification", "token_classification", "regression", "multi_label", "generation", "masked_lm"
    }  # fmt: skip


def test_without_norm_a_layer_of_norms_is_affine() -> None:
    """transformers' NoNorm is a gain and a bias, and the student has it where IB-BERT has layer norms."""
    from transformers.models.mobilebert.modeling_mobilebert import NoNorm

    torch.manual_seed(0)
    norm = NoNorm(4).double()
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x, y = torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(norm(2 * x - y) - norm.bias, 2 * (norm(x) - norm.bias) - (norm(y) - norm.bias))
    assert isinstance(make_model(**STUDENT).mobilebert.embeddings.LayerNorm, NoNorm)
    assert isinstance(make_model(**IB_BERT).mobilebert.embeddings.LayerNorm, nn.LayerNorm)


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    save(make_model(2, **IB_BERT, initializer_range=0.3), tmp_path / "teacher")
    made = masked_sections(
        tmp_path, student={"config": STUDENT, "word_embeddings": "teacher"}, baselines=[],
        recipe={"name": "mobilebert", "layers": LAYERS, "transfer_fraction": 0.6},
    )  # fmt: skip
    made["teacher"]["fine_tune"] = {"max_steps": 60, "learning_rate": 1e-2, "batch_size": 16}
    made["training"] |= {"max_steps": 20, "log_every": 1, "checkpoints": 10}
    return made


@pytest.mark.slow
def test_from_texts_to_a_student_and_each_stage_changes_its_layer_alone(
    sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    results = limbeck.distill(**sections)
    assert value(results, "distilled", "nll") < value(results, "student_init", "nll")
    run = tmp_path / "run"
    folders = sorted(folder for folder in (run / "stages").iterdir() if "distilled" in folder.name)
    weights = [load_file(folder / "model" / "model.safetensors") for folder in folders]
    assert len(weights) == LAYERS + 1
    for layer, (before, after) in enumerate(pairwise(weights[:-1]), start=1):
        changed = {name for name in after if not torch.equal(before[name], after[name])}
        assert changed
        assert all(name.startswith(f"mobilebert.encoder.layer.{layer}.") for name in changed)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    rates = [line["learning_rate"] for line in lines if line["stage"] == "layer_2"]
    assert rates == pytest.approx(4 * [3 * sections["training"]["learning_rate"]])
    (of_teacher,) = (folder for folder in (run / "stages").iterdir() if "teacher" in folder.name)
    words = "mobilebert.embeddings.word_embeddings.weight"
    assert torch.equal(weights[-2][words], load_file(of_teacher / "model" / "model.safetensors")[words])
    assert not torch.equal(weights[-1][words], weights[-2][words])
    assert type(load_masked_lm(str(run / "student"))).__name__ == "MobileBertForMaskedLM"


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    limbeck.distill(**sections)
    expected = load_file(tmp_path / "run" / "student" / "model.safetensors")
    sections["output"] = str(tmp_path / "killed")
    for steps in (2, 3, 5, 4):  # in the first, second and third layer, and in the last stage
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**sections, progress=StopAfter(steps))
    limbeck.distill(**sections)
    found = load_file(tmp_path / "killed" / "student" / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "student", "message"),
    [
        ({}, {}, "trains layer 4 alone, and the student has 3: give the recipe the student's number of layers"),
        ({"layers": 2}, {}, "a stage for each of 2 layers, and both models have 3: set recipe.layers: 3"),
        ({"layers": 2}, {"num_hidden_layers": 2}, "the teacher has 3 and the student 2"),
        ({"layers": 3}, {"hidden_size": 24}, "must have the same width; the teacher has 16, the student 24"),
        ({"layers": 3}, {"num_attention_heads": 4}, "the teacher has 2 in each layer and the student 4"),
        ({"layers": 3}, {"embedding_size": 4}, "25 rows of width 8, and the student's 25 of width 4"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_before_training(
    recipe: dict[str, Any], student: dict[str, Any], message: str, sections: dict[str, Any]
) -> None:
    sections["recipe"] = {"name": "mobilebert", **recipe}
    sections["student"]["config"] = STUDENT | student
    with pytest.raises(ConfigError, match=message):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_a_classifier_of_thin_layers_learns_from_a_bert(
    encoder_folder: Path, tickets: dict[str, Path], tmp_path: Path, light: None
) -> None:
    words = json.loads((encoder_folder / "config.json").read_text("utf-8"))["vocab_size"]
    config = {**STUDENT, "hidden_size": 32, "num_hidden_layers": 4, "max_position_embeddings": 64, "vocab_size": words}
    results = limbeck.distill(
        data={"train": str(tickets["labelled"]), "test": str(tickets["test"])},
        teacher={"model": str(encoder_folder), "fine_tune": {"max_steps": 10, "learning_rate": 3e-3}},
        student={"config": config}, recipe={"name": "mobilebert", "layers": 4, "transfer_fraction": 0.5},
        training={"max_steps": 16, "learning_rate": 1e-3, "batch_size": 16, "log_every": 1}, baselines=[],
        simple_baselines=False, speed=False, output=str(tmp_path / "run"),
    )  # fmt: skip
    stages = [cost.stage for cost in results.costs if cost.system == "distilled"]
    assert stages == ["layer_1", "layer_2", "layer_3", "layer_4", "distillation"]
    student = json.loads((tmp_path / "run" / "student" / "config.json").read_text("utf-8"))
    assert (student["model_type"], student["architectures"]) == ("mobilebert", ["MobileBertForSequenceClassification"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    first = [line["loss"] for line in lines if line["stage"] == "layer_1"]
    assert first[-1] < first[0]
