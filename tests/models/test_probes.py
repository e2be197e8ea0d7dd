"""Models on changed embeddings: against runs that are given embeddings, for common architectures and paddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.pooled_classifier import PooledClassifier, call_pooled
from limbeck.models.probes import run_probed
from limbeck.models.taps import run_model
from limbeck.models.trials import require_probes
from limbeck.types import Attribution, Batch, Mixup, Probe, Tap

MIX = Mixup()
SHAPE = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 40, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "num_labels": 3,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "dropout": 0.0, "attention_dropout": 0.0,
                   "seq_classif_dropout": 0.0},
    "electra": {"embedding_size": 8},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0},
    "modernbert": {"cls_token_id": 0, "sep_token_id": 2, "embedding_dropout": 0.0, "mlp_dropout": 0.0},
    "llama": {"num_key_value_heads": 1},
}  # fmt: skip
KINDS = ("bert", "roberta", "distilbert", "electra", "mpnet", "modernbert", "deberta-v2", "gpt2", "llama", "mean")
EVERY = pytest.mark.parametrize("kind", KINDS)
EITHER_SIDE = pytest.mark.parametrize(
    ("kind", "left"), [*((kind, False) for kind in KINDS), *((kind, True) for kind in ("gpt2", "llama", "mean"))]
)
"""Others read the state of the first position."""
IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 1, 1], [13, 14, 15, 16, 1], [17, 18, 1, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
PARTNERS = torch.tensor([1, 0, 3, 2])


def tiny(kind: str, *, outputs: int = 3, attention: str = "sdpa", seed: int = 0, **options: Any) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(seed)
    fields = SHAPE | {"num_labels": outputs, "initializer_range": 0.3} | OWN.get(kind, {}) | options
    config = AutoConfig.for_model("bert" if kind == "mean" else kind, **fields)
    if kind not in ("mpnet", "deberta-v2"):
        config._attn_implementation = attention
    model: Any
    if kind == "mean":
        model = PooledClassifier(call_pooled(config, "mean"))
    else:
        model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        words = model.get_input_embeddings().weight
        words[1] = torch.linspace(-1, 1, words.shape[1])  # padding, as weights of other models have it
    return model.double()


def encoded(left: bool = False, more: int = 0) -> dict[str, Tensor]:
    ids, mask = (torch.nn.functional.pad(x, (0, more), value=value) for x, value in ((IDS, 1), (MASK, 0)))
    if left:
        order = [sorted(range(ids.shape[1]), key=lambda t, row=row: int(row[t])) for row in mask]
        ids, mask = (torch.stack([x[i, torch.tensor(order[i])] for i in range(len(x))]) for x in (ids, mask))
    return {"input_ids": ids, "attention_mask": mask}


def mixing(shares: Iterable[float], partners: Tensor = PARTNERS) -> Batch:
    return {"mixing": {"partner_B": partners, "share_B": torch.tensor([*shares], dtype=torch.float64)}}


def probed(model: Any, inputs: dict[str, Tensor], probe: Probe, batch: Batch, *, trained: bool = True) -> Tensor:
    return run_probed(model, inputs, frozenset(), {probe}, batch, trained=trained)["probes"][probe]


# Mixtures.


@EITHER_SIDE
def test_a_share_of_1_is_the_row_and_of_0_its_partner(kind: str, left: bool) -> None:
    model, inputs = tiny(kind).eval(), encoded(left)
    clean = run_model(model, inputs)["logits"]
    assert (clean[0] - clean[1]).abs().max() > 1e-3
    torch.testing.assert_close(probed(model, inputs, MIX, mixing([1, 1, 1, 1])), clean)
    torch.testing.assert_close(probed(model, inputs, MIX, mixing([0, 0, 0, 0])), clean[PARTNERS])
    with_itself = mixing([0.3, 0.5, 0.9, 0.01], torch.arange(4))
    torch.testing.assert_close(probed(model, inputs, MIX, with_itself), clean)
    half = probed(model, inputs, MIX, mixing([0.5] * 4))
    assert (half - clean).abs().amax(dim=1).min() > 1e-4


@EVERY
@pytest.mark.parametrize("shares", [(0.3, 0.8, 0.5, 0.1), (1, 0, 0.4, 0)])
def test_the_amount_of_padding_changes_nothing(kind: str, shares: tuple[float, ...]) -> None:
    model = tiny(kind).eval()
    expected = probed(model, encoded(), MIX, mixing(shares))
    torch.testing.assert_close(probed(model, encoded(more=3), MIX, mixing(shares)), expected)


def test_a_mixture_is_that_of_given_embeddings() -> None:
    """Word embeddings are mixed before positions, types and norm; where one row ends, the other is mixed with 0."""
    model, shares = tiny("bert").eval(), torch.tensor([0.3, 0.8, 0.5, 0.1], dtype=torch.float64)
    types = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    inputs = {**encoded(), "token_type_ids": types}
    words = model.bert.embeddings.word_embeddings.weight[IDS] * MASK[..., None]
    mixed = torch.stack([shares[i] * words[i] + (1 - shares[i]) * words[j] for i, j in enumerate(PARTNERS)])
    either = torch.stack([MASK[i] | MASK[j] for i, j in enumerate(PARTNERS)])
    own = torch.stack([torch.where(MASK[i] == 1, types[i], types[j]) for i, j in enumerate(PARTNERS)])
    expected = model(inputs_embeds=mixed, attention_mask=either, token_type_ids=own).logits
    torch.testing.assert_close(probed(model, inputs, MIX, mixing(shares.tolist())), expected)


class Linear(nn.Module):
    """A model without anything between the sum of its embeddings and its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]))

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(logits=self.words(input_ids).sum(dim=1))


def test_a_linear_model_mixes_its_logits() -> None:
    inputs = {"input_ids": torch.tensor([[1], [2]]), "attention_mask": torch.ones(2, 1, dtype=torch.int64)}
    found = probed(Linear(), inputs, MIX, mixing([0.3, 0.3], torch.tensor([1, 0])))
    assert found.tolist() == [pytest.approx([0.3, 1.4]), pytest.approx([0.7, 0.6])]


def test_the_gradient_of_a_mixture_reaches_the_embeddings_of_both_rows() -> None:
    model, inputs = tiny("bert").eval(), encoded()
    weight = model.bert.embeddings.word_embeddings.weight

    def value() -> Tensor:
        return probed(model, inputs, MIX, mixing([0.3, 0.8, 0.5, 0.1]))[0].square().sum()

    (gradient,) = torch.autograd.grad(value(), weight)
    assert gradient[[5, 9, 10, 12]].abs().amax(dim=1).min() > 0  # of row 0, and of row 1
    assert gradient[[13, 17]].abs().max() == 0
    assert_derivative(value, weight, gradient, [(6, 2), (11, 5)])


# Attributions.


def reference(model: Any, inputs: dict[str, Tensor], steps: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Integrated gradients of a function of the logits, embeddings scaled where BERT computes them."""
    total = 0.0
    for k in range(1, steps + 1):
        share = k / steps
        handle = model.bert.embeddings.register_forward_hook(lambda m, i, output, s=share: output * s)
        output = model(**inputs, output_hidden_states=True)
        handle.remove()
        total = total + torch.autograd.grad(function(output.logits), output.hidden_states[0])[0]
    return total / steps * output.hidden_states[0].detach()


def unit(scores: Tensor) -> Tensor:
    return scores / scores.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("top", [None, 5])
def test_attributions_of_classes_are_those_of_log_probabilities(steps: int, top: int | None) -> None:
    model, inputs = tiny("bert", attention="eager").eval(), encoded()
    found = probed(model, inputs, Attribution("classes", steps, top), {})
    assert found.shape == (4, 3, 5)
    for c in range(3):
        expected = reference(model, inputs, steps, lambda z, c=c: -z.log_softmax(-1)[:, c].sum())
        largest = expected.abs().topk(top or 16, dim=-1).values.norm(dim=-1) * MASK
        torch.testing.assert_close(unit(found[:, c]), unit(largest))


def test_of_two_classes_both_views_say_the_same_in_one_step() -> None:
    model, inputs = tiny("bert", outputs=2).eval(), encoded()
    found = probed(model, inputs, Attribution(), {})
    assert found.shape == (4, 1, 5)
    views = [reference(model, inputs, 1, lambda z, c=c: -z.log_softmax(-1)[:, c].sum()) for c in (0, 1)]
    assert (views[0].abs() - views[1].abs()).abs().max() > 1e-3  # not before the norm over tokens
    for view in views:
        torch.testing.assert_close(unit(found[:, 0]), unit(view.norm(dim=-1) * MASK))


@pytest.mark.parametrize("steps", [1, 3])
def test_attributions_of_labels_and_of_squared_errors(steps: int) -> None:
    model, inputs = tiny("bert").eval(), encoded()
    targets = torch.tensor([[0.5, 1, 2], [-1, 0, 0], [0, 3, 1], [1, 1, 1]], dtype=torch.float64)
    of_labels = probed(model, inputs, Attribution("labels", steps), {})
    of_values = probed(model, inputs, Attribution("values", steps), {"targets_BC": targets})
    for c in range(3):
        expected = reference(model, inputs, steps, lambda z, c=c: -torch.nn.functional.logsigmoid(z[:, c]).sum())
        torch.testing.assert_close(unit(of_labels[:, c]), unit(expected.norm(dim=-1) * MASK))
        expected = reference(model, inputs, steps, lambda z, c=c: (z - targets)[:, c].square().sum())
        torch.testing.assert_close(unit(of_values[:, c]), unit(expected.norm(dim=-1) * MASK))


def test_where_a_value_is_exactly_right_there_is_no_attribution() -> None:
    model, inputs = tiny("bert").eval(), encoded()
    right = run_model(model, inputs)["logits"].detach()
    assert probed(model, inputs, Attribution("values"), {"targets_BC": right}, trained=False).abs().max() == 0


@EITHER_SIDE
def test_padding_has_no_attribution_and_its_amount_changes_nothing(kind: str, left: bool) -> None:
    model, probe = tiny(kind).eval(), Attribution(steps=2)
    inputs = encoded(left)
    found = probed(model, inputs, probe, {})
    read = inputs["attention_mask"].bool()[:, None].expand_as(found)
    assert found[~read].abs().max() == 0
    if kind != "gpt2" or not left:  # its positions count padding on the left
        assert found[read].min() > 0
    more = encoded(left=False, more=3)
    torch.testing.assert_close(probed(model, more, probe, {})[..., :5], probed(model, encoded(), probe, {}))


def test_a_model_that_is_sure_still_says_why() -> None:
    """In float32 the gradient of its log-probability would be lost in rounding."""
    sure = tiny("bert").eval()
    with torch.no_grad():
        sure.classifier.weight *= 90
    exact = probed(sure, encoded(), Attribution(steps=2), {})
    assert run_model(sure, encoded())["logits"].softmax(-1).amax(-1).min() > 1 - 1e-8
    rounded = probed(sure.float(), encoded(), Attribution(steps=2), {})
    torch.testing.assert_close(unit(rounded).double(), unit(exact), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("probe", [Attribution(), Attribution(steps=2), Attribution("values", 2)], ids=str)
def test_attributions_are_differentiated(attention: str, probe: Attribution) -> None:
    """Against finite differences, for embeddings, attention and head."""
    model, inputs = tiny("bert", attention=attention).eval(), encoded()
    targets = torch.arange(12, dtype=torch.float64).view(4, 3) / 5
    aim = torch.rand(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def value() -> Tensor:
        return (unit(probed(model, inputs, probe, {"targets_BC": targets})) - aim).square().sum()

    parameters = dict(model.named_parameters())
    places = {
        "bert.embeddings.word_embeddings.weight": [(6, 2), (14, 7)],
        "bert.embeddings.LayerNorm.weight": [(3,)],
        "bert.encoder.layer.0.attention.self.query.weight": [(1, 2), (9, 4)],
        "bert.encoder.layer.1.output.dense.weight": [(5, 5)],
        "classifier.weight": [(0, 3)],
    }
    gradients = torch.autograd.grad(value(), [parameters[name] for name in places])
    for (name, at), gradient in zip(places.items(), gradients, strict=True):
        assert_derivative(value, parameters[name], gradient, at)


def test_frozen_embeddings_and_a_frozen_teacher_have_attributions() -> None:
    model, inputs = tiny("bert").eval(), encoded()
    expected = probed(model, inputs, Attribution(steps=2), {})
    model.bert.embeddings.requires_grad_(False)
    half_frozen = probed(model, inputs, Attribution(steps=2), {})
    torch.testing.assert_close(half_frozen, expected)
    half_frozen.sum().backward()  # type: ignore[no-untyped-call]
    assert model.bert.encoder.layer[0].attention.self.query.weight.grad.abs().max() > 0
    model.requires_grad_(False)
    with torch.no_grad():
        frozen = probed(model, inputs, Attribution(steps=2), {}, trained=False)
    torch.testing.assert_close(frozen, expected)
    assert not frozen.requires_grad


def test_the_ordinary_run_is_unchanged() -> None:
    model, inputs, taps = tiny("bert").eval(), encoded(), frozenset({Tap("hidden", 1), Tap("embedding")})
    expected = run_model(model, inputs, taps)
    batch: Batch = mixing([0.5] * 4)
    found = run_probed(model, inputs, taps, {MIX, Attribution()}, batch, trained=True)
    torch.testing.assert_close(found["logits"], expected["logits"])
    for tap in taps:
        torch.testing.assert_close(found["states"][tap], expected["states"][tap])
    assert "probes" not in run_probed(model, inputs, taps, (), {}, trained=True)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_attributions_under_autocast(precision: torch.dtype) -> None:
    model, inputs = tiny("bert").float().eval(), encoded()
    expected = unit(probed(model, inputs, Attribution(), {}))
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        found = probed(model, inputs, Attribution(), {})
    assert found.dtype == torch.float32
    torch.testing.assert_close(unit(found), expected, atol=5e-2, rtol=5e-2)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(model.classifier.weight.grad).all()


# Refusals.


def test_common_models_can_be_probed_and_stay_as_they_are() -> None:
    for kind in KINDS:
        model = tiny(kind).train()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        require_probes(model, frozenset({MIX, Attribution("values", 2)}), trained=True)
        assert model.training
        assert all(parameter.grad is None for parameter in model.parameters())
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("probe", [MIX, Attribution()], ids=str)
def test_a_model_with_two_halves_is_refused(probe: Probe) -> None:
    from transformers import BartConfig, BartForSequenceClassification

    sizes = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = BartForSequenceClassification(
        BartConfig(vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=1, num_labels=3, **sizes)
    )
    with pytest.raises(ModelError, match="BartForSequenceClassification"):
        require_probes(model, frozenset({probe}), trained=True)


def test_a_model_without_second_derivatives_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As any is whose attention runs on a fast kernel, which students' therefore never does."""
    monkeypatch.setattr("limbeck.models.probes._twice_differentiable", nullcontext)
    fast, slow = tiny("bert").float(), tiny("bert", attention="eager").float()
    with pytest.raises(ModelError, match=r"cannot be trained on changed embeddings: derivative for .*attention"):
        require_probes(fast, frozenset({Attribution()}), trained=True)
    require_probes(fast, frozenset({Attribution()}), trained=False)
    require_probes(slow, frozenset({Attribution()}), trained=True)


def assert_derivative(
    value: Callable[[], Tensor], parameter: Tensor, gradient: Tensor, places: list[tuple[int, ...]], by: float = 1e-6
) -> None:
    for at in places:
        found = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[at] += sign * by
            found.append(value().item())
            with torch.no_grad():
                parameter[at] -= sign * by
        expected = (found[0] - found[1]) / (2 * by)
        assert gradient[at].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)
