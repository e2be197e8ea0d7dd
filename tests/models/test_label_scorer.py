"""A causal language model that classifies by what it would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from limbeck.errors import ModelError
from limbeck.losses.objective import Objective
from limbeck.models.label_scorer import LabelScorer, Verbaliser, read_verbaliser
from limbeck.models.load import load_classifier, load_weights, model_labels, save_model
from limbeck.models.taps import run_model
from limbeck.types import Tap

LABELS = Verbaliser(("risk", "no risk", "safe"), ((5, 1), (6, 5, 1), (7, 1)))


@pytest.fixture
def language_model() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3,
                        bos_token_id=0, eos_token_id=1)  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def by_hand(model: Any, prompt: list[int], label: tuple[int, ...]) -> torch.Tensor:
    """Mean log-probability of the label's tokens, each after all that stands before it."""
    total = torch.zeros(())
    for i, token in enumerate(label):
        logits = model(input_ids=torch.tensor([[*prompt, *label[:i]]])).logits[0, -1]
        total = total + logits.log_softmax(-1)[token]
    return total / len(label)


def padded(left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor([[9, 9, 10, 11], [12, 13, 14, 15]])  # 9 is padding and a real token of other prompts
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    return (ids, mask) if left else (ids.flip(1), mask.flip(1))


@pytest.mark.parametrize("left", [True, False])
def test_logits_are_the_scores_of_the_labels_behind_each_prompt(language_model: Any, left: bool) -> None:
    ids, mask = padded(left)
    scorer = LabelScorer(language_model, LABELS)
    logits = scorer(input_ids=ids, attention_mask=mask).logits
    prompts = [row[keep.bool()].tolist() for row, keep in zip(ids, mask, strict=True)]
    expected = torch.stack(
        [torch.stack([by_hand(language_model, p, label) for label in LABELS.label_ids]) for p in prompts]
    )
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_language_model_as_by_hand(language_model: Any) -> None:
    ids, mask = padded(True)
    scorer = LabelScorer(language_model, LABELS)
    teacher = torch.tensor([0.7, 0.2, 0.1])
    logits = scorer(input_ids=ids[1:], attention_mask=mask[1:]).logits
    logits.retain_grad()
    (-(teacher * logits.log_softmax(-1)).sum()).backward()
    torch.testing.assert_close(logits.grad[0], logits.softmax(-1)[0].detach() - teacher, atol=1e-6, rtol=0)
    weight = language_model.transformer.h[0].mlp.c_fc.weight
    mine, weight.grad = weight.grad.clone(), None
    language_model.zero_grad()
    scores = torch.stack([by_hand(language_model, ids[1].tolist(), label) for label in LABELS.label_ids])
    (-(teacher * scores.log_softmax(-1)).sum()).backward()
    torch.testing.assert_close(mine, weight.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("left", [True, False])
def test_states_are_those_of_the_prompts_alone(language_model: Any, left: bool) -> None:
    ids, mask = padded(left)
    scorer = LabelScorer(language_model, LABELS)
    taps = frozenset({Tap("hidden", 1), Tap("hidden", 2), Tap("query", 1), Tap("key", 2), Tap("value", 2)})
    found = run_model(scorer, {"input_ids": ids, "attention_mask": mask}, taps)
    for row in range(2):
        prompt = ids[row][mask[row].bool()][None]
        expected = run_model(language_model, {"input_ids": prompt}, taps)["states"]
        for tap in taps:
            states, of_prompt = found["states"][tap], expected[tap]
            if tap.site != "hidden":  # heads come before tokens
                states, of_prompt = states.transpose(1, 2), of_prompt.transpose(1, 2)
            assert states.shape[:2] == ids.shape
            torch.testing.assert_close(states[row][mask[row].bool()], of_prompt[0], atol=1e-5, rtol=1e-5)


def rationales() -> dict[str, torch.Tensor]:
    """Rows 0 and 2 have a rationale, of 2 and of 3 tokens; row 1 has none."""
    return {
        "explained_B": torch.tensor([True, False, True]),
        "input_ids": torch.tensor([[9, 10, 5, 6, 0], [11, 12, 7, 8, 9]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]),
        "starts": torch.tensor([2, 2]),
    }


def test_rationales_are_scored_as_by_hand(language_model: Any) -> None:
    scorer = LabelScorer(language_model, LABELS)
    found = scorer.rationale_log_probs(rationales())
    expected = [
        by_hand(language_model, [9, 10], (5, 6)),
        torch.zeros(()),
        by_hand(language_model, [11, 12], (7, 8, 9)),
    ]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-5)
    found.sum().backward()
    weight = language_model.transformer.h[0].mlp.c_fc.weight
    mine, weight.grad = weight.grad.clone(), None
    torch.stack(expected).sum().backward()
    torch.testing.assert_close(mine, weight.grad, atol=1e-5, rtol=1e-4)


def test_rows_without_any_rationale_are_not_run(language_model: Any) -> None:
    none = {"explained_B": torch.tensor([False, False]), "input_ids": torch.zeros(0, 0), "starts": torch.zeros(0)}
    assert LabelScorer(language_model, LABELS).rationale_log_probs(none).tolist() == [0, 0]


def test_it_is_saved_as_its_language_model(language_model: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    scorer = LabelScorer(language_model, LABELS)
    save_model(scorer, None, tmp_path)
    again = load_classifier(str(tmp_path)).eval()
    assert model_labels(again) == list(LABELS.labels)
    assert again.verbaliser == LABELS
    ids, mask = padded(True)
    with torch.no_grad():
        torch.testing.assert_close(again(ids, mask).logits, scorer(ids, mask).logits)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(plain.transformer.wte.weight, language_model.transformer.wte.weight)
    with torch.no_grad():
        plain.transformer.wte.weight.zero_()
    other = LabelScorer(plain, LABELS)
    load_weights(other, tmp_path)
    torch.testing.assert_close(plain.transformer.wte.weight, language_model.transformer.wte.weight)


def test_an_objective_around_it_saves_tied_weights_once(language_model: Any) -> None:
    """Its head is its word embeddings; safetensors takes no tensor twice."""
    objective = Objective(LabelScorer(language_model, LABELS), ())
    saved = load(save(objective.state_dict()))
    before = language_model.lm_head.weight.detach().clone()
    with torch.no_grad():
        language_model.lm_head.weight.zero_()
    objective.load_state_dict(saved)
    assert torch.equal(language_model.transformer.wte.weight, before)
    assert language_model.lm_head.weight is language_model.transformer.wte.weight


def test_a_damaged_file_is_named(language_model: Any, tmp_path: Path) -> None:
    save_model(LabelScorer(language_model, LABELS), None, tmp_path)
    (tmp_path / "verbaliser.json").write_text('{"labels": ["a"]}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"verbaliser\.json is damaged"):
        load_classifier(str(tmp_path))
    assert read_verbaliser(tmp_path / "nowhere") is None
