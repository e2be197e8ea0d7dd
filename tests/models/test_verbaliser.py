"""Scores of labels: the figures by hand, the short way against the long one, borders, padding and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from limbeck.errors import ModelError
from limbeck.models.verbaliser import (
    LabelTokens,
    label_scores,
    label_tokens,
    shared_prefix_scores,
    shares_prefixes,
)

LABELS = ["risk", "risk and warning", "caution", "safe and harmless"]
TEXTS = [
    "Energy shortages push up the bills.\nOutput:",
    "Input: The river floods the town; people leave their homes. Überschwemmung!\nOutput:",
    "x\nOutput:",
]
KINDS: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256},
    "opt": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 16, "word_embed_proj_dim": 16,
        "max_position_embeddings": 256,
    },
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "mistral": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "intermediate_size": 16, "sliding_window": 8,
    },
}  # fmt: skip


def make(kind: str = "llama", *, std: float = 0.5, dropout: float = 0.0) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    extra = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout} if kind == "gpt2" else {}
    config = AutoConfig.for_model(kind, vocab_size=420, bos_token_id=1, eos_token_id=2, pad_token_id=0,
                                  **KINDS[kind], **extra)  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=std)
    return model


@torch.no_grad()
def by_hand(model: Any, label: LabelTokens, power: float) -> float:
    """One label, no padding, no cache: a plain forward pass."""
    log_probs_TV = model(torch.tensor([label.ids])).logits[0].log_softmax(dim=-1)
    own = [float(log_probs_TV[t - 1, label.ids[t]]) for t in range(label.start, len(label.ids))]
    return sum(own) / len(own) ** power


class Fixed(torch.nn.Module):
    """A model whose next-token log-probabilities are given for each token that is read."""

    device = torch.device("cpu")

    def __init__(self, logits_VV: torch.Tensor) -> None:
        super().__init__()
        self.table = logits_VV

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(logits=self.table[input_ids])


@pytest.mark.parametrize(
    ("power", "scores", "probs"),
    [
        (1.0, (-0.2, -0.3, -0.4), (0.367165, 0.332225, 0.300610)),
        (0.0, (-0.6, -0.9, -1.6), (0.474226, 0.351316, 0.174458)),
    ],
)
def test_the_figures_of_the_specification(power: float, scores: Sequence[float], probs: Sequence[float]) -> None:
    """Log-probabilities of the tokens: risk (-.2 -.1 -.3), caution (-.5 -.2 -.2), safe (-1.2 -.2 -.1 -.1)."""
    chains = [[-0.2, -0.1, -0.3], [-0.5, -0.2, -0.2], [-1.2, -0.2, -0.1, -0.1]]
    # The three first tokens are too likely to follow one prompt, so each label has a prompt token of its own.
    rest, size = 13, 14
    probs_VV = torch.zeros((size, size), dtype=torch.float64)
    labels, token = [], 0
    for chain in chains:
        ids = list(range(token, token + len(chain) + 1))
        for before, log_prob in zip(ids, chain, strict=False):
            probs_VV[before, before + 1] = math.exp(log_prob)
        labels.append(LabelTokens(ids, 1))
        token = ids[-1] + 1
    probs_VV[:, rest] = 1 - probs_VV.sum(dim=1)
    table_VV = (3 * probs_VV).log()  # logits are log-probabilities up to a constant
    got_M = label_scores(Fixed(table_VV), [labels], length_power=power)[0]
    torch.testing.assert_close(got_M, torch.tensor(scores), rtol=0, atol=1e-6)
    torch.testing.assert_close(got_M.softmax(dim=0), torch.tensor(probs), rtol=0, atol=1e-6)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("kind", KINDS)
def test_the_short_way_gives_what_a_plain_forward_pass_gives(
    kind: str, make_causal_tokenizer: Callable[..., Any]
) -> None:
    tokenizer, model = make_causal_tokenizer(), make(kind)
    rows = [label_tokens(tokenizer, text, LABELS) for text in TEXTS]
    for power, at_once in ((0.0, 32), (1.0, 3)):
        expected_BM = torch.tensor([[by_hand(model, label, power) for label in labels] for labels in rows])
        assert float(expected_BM.std()) > 0.01
        fast_BM = shared_prefix_scores(model, rows, length_power=power, labels_at_once=at_once)
        torch.testing.assert_close(fast_BM, expected_BM, rtol=1e-4, atol=1e-4)
        slow_BM = label_scores(model, rows, length_power=power)
        torch.testing.assert_close(slow_BM, expected_BM, rtol=1e-4, atol=1e-4)
    assert shares_prefixes(model, rows)


def test_a_model_that_reads_padding_does_not_share(make_causal_tokenizer: Callable[..., Any]) -> None:
    """Without position ids the padding on the left would move every token."""
    rows = [label_tokens(make_causal_tokenizer(), text, LABELS) for text in TEXTS]
    model = make("gpt2")
    inner = type(model)

    class Deaf(inner):  # type: ignore[misc, valid-type]
        def forward(self, input_ids=None, attention_mask=None, past_key_values=None, use_cache=None):  # type: ignore[no-untyped-def]
            places = torch.arange(input_ids.shape[1])[None] + (
                past_key_values.get_seq_length() if past_key_values else 0
            )
            return inner.forward(
                self, input_ids=input_ids, attention_mask=attention_mask, past_key_values=past_key_values,
                use_cache=use_cache, position_ids=places,
            )  # fmt: skip

    model.__class__ = Deaf
    assert not shares_prefixes(model, rows)
    assert not shares_prefixes(Fixed(torch.zeros(420, 420)), rows)  # no cache at all


def test_a_label_begins_with_the_first_token_that_has_a_character_of_it(
    make_causal_tokenizer: Callable[..., Any],
) -> None:
    tokenizer = make_causal_tokenizer()
    for text in TEXTS:
        for label, made in zip(LABELS, label_tokens(tokenizer, text, LABELS), strict=True):
            assert made.ids[0] == tokenizer.bos_token_id
            assert tokenizer.decode(made.ids[made.start :]) == f" {label}\n"
            assert made.ids[1:] == tokenizer(text + f" {label}\n", add_special_tokens=False)["input_ids"]
    # Where the last character of the prompt and the label share a token, it is the label's.
    (merged, _) = label_tokens(tokenizer, "Energy sh", ["ortages", "ould"], lead="", special_tokens=False)
    assert "".join(tokenizer.decode(merged.ids)) == "Energy shortages\n"
    assert tokenizer.decode(merged.ids[merged.start :]).endswith("ortages\n")


def test_the_end_marker_tells_a_label_from_one_that_it_begins(make_causal_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_causal_tokenizer()
    short, long = label_tokens(tokenizer, TEXTS[0], ["risk", "risk and warning"])
    assert long.ids[: len(short.ids)] != short.ids
    chat = label_tokens(tokenizer, "x", ["risk", "safe"], lead="", end="<|im_end|>")
    assert [made.ids[-1] for made in chat] == [4, 4]


def test_a_tokenizer_without_line_breaks_ends_labels_with_its_end_token(make_tokenizer: Callable[..., Any]) -> None:
    wordpiece = make_tokenizer()
    with pytest.raises(ModelError, match="has no token for"):
        label_tokens(wordpiece, "the cat", ["run", "running"])
    wordpiece.eos_token = "[SEP]"
    run, running = label_tokens(wordpiece, "the cat", ["run", "running"])
    assert run.ids[-1] == running.ids[-1] == wordpiece.convert_tokens_to_ids("[SEP]")
    assert run.ids[0] == wordpiece.convert_tokens_to_ids("[CLS]")


def test_what_cannot_be_tokenised(make_causal_tokenizer: Callable[..., Any]) -> None:
    class Slow:
        is_fast, name_or_path = False, "slow"

    with pytest.raises(ModelError, match="does not give the characters"):
        label_tokens(Slow(), "x", LABELS)
    with pytest.raises(ModelError, match="the prompt is empty"):
        label_tokens(make_causal_tokenizer(), "", LABELS, special_tokens=False)
    assert label_tokens(make_causal_tokenizer(), "", LABELS)[0].start == 1


def test_gradients_are_those_of_one_label_at_a_time(make_causal_tokenizer: Callable[..., Any]) -> None:
    rows = [label_tokens(make_causal_tokenizer(), text, LABELS) for text in TEXTS]
    model = make()
    target_BM = torch.tensor([[0.7, 0.1, 0.1, 0.1]] * len(rows))
    scores_BM = label_scores(model, rows)
    (-(target_BM * scores_BM.log_softmax(dim=1)).sum(dim=1).mean()).backward()
    together = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    one_by_one = []
    for labels in rows:
        for label in labels:
            log_probs_TV = model(torch.tensor([label.ids])).logits[0].log_softmax(dim=-1)
            places = torch.arange(label.start, len(label.ids))
            one_by_one.append(log_probs_TV[places - 1, torch.tensor(label.ids)[places]].mean())
    apart_BM = torch.stack(one_by_one).view(len(rows), -1)
    (-(target_BM * apart_BM.log_softmax(dim=1)).sum(dim=1).mean()).backward()
    for got, parameter in zip(together, model.parameters(), strict=True):
        torch.testing.assert_close(got, parameter.grad, rtol=1e-4, atol=1e-6)
    assert any(float(got.abs().max()) > 1e-4 for got in together)
