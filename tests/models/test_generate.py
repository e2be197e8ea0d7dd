"""Writing: what is drawn is drawn from the model's own distribution, whatever its settings and the batch."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from limbeck.models.generate import Completion, Decoding, write_completions

PAD, END = 0, 2
PROMPTS = [[5, 6, 7, 8, 3], [4], [9, 9, 4], [3, 8]]


def make(kind: str = "llama", *, vocabulary: int = 12, seed: int = 0, std: float = 0.6, **options: Any) -> Any:
    """Return a random model in training mode, with dropout where its kind has any."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    sizes: dict[str, dict[str, Any]] = {
        "llama": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "resid_pdrop": 0.5, "embd_pdrop": 0.5},
        "t5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0},
        "bart": {
            "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "dropout": 0.5,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "decoder_start_token_id": 2,
            "max_position_embeddings": 64,
        },
    }  # fmt: skip
    torch.manual_seed(seed)
    special = {"bos_token_id": 1, "eos_token_id": END, "pad_token_id": PAD}
    config = AutoConfig.for_model(kind, vocab_size=vocabulary, **(special | sizes[kind] | options))
    auto = AutoModelForSeq2SeqLM if kind in ("t5", "bart") else AutoModelForCausalLM
    model = auto.from_config(config).train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=std)
    return model


def write(model: Any, prompts: list[list[int]] = PROMPTS, **options: Any) -> list[Completion]:
    decoding = Decoding(**{name: options.pop(name) for name in list(options) if name in Decoding.__annotations__})
    defaults: dict[str, Any] = {"end_ids": [END], "pad_id": PAD, "seed": 0}
    return write_completions(model, prompts, decoding, **(defaults | options))


GREEDY: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": 8}
SAMPLED: dict[str, Any] = {"max_new_tokens": 8}
EVERY_KIND = pytest.mark.parametrize("kind", ["llama", "gpt2", "t5", "bart"])


@pytest.mark.fast_cases(4)
@EVERY_KIND
@pytest.mark.parametrize("how", [GREEDY, {"beams": 3, "max_new_tokens": 6}], ids=["greedy", "beams"])
def test_a_batch_is_written_as_one_by_one(kind: str, how: dict[str, Any]) -> None:
    """Padding is on the side, and read nowhere: of a decoder the left, of an encoder the right."""
    model = make(kind, seed=2, std=0.9)
    together = write(model, **how)
    assert together == [write(model, [prompt], **how)[0] for prompt in PROMPTS]
    assert len({tuple(one.ids) for one in together}) > 1


def test_greedy_writing_is_the_likeliest_token_each_time() -> None:
    model = make().eval()
    (written,) = write(model, [[5, 6, 7]], **GREEDY)
    ids = [5, 6, 7]
    for token in written.ids:
        assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)


def test_an_encoder_decoder_writes_after_its_start_token() -> None:
    model = make("t5").eval()
    (written,) = write(model, [[5, 6, 7]], **GREEDY)
    read = [0]
    for token in written.ids:
        logits_BTV = model(input_ids=torch.tensor([[5, 6, 7]]), decoder_input_ids=torch.tensor([read])).logits
        assert int(logits_BTV[0, -1].argmax()) == token
        read.append(token)


def test_the_same_seed_writes_the_same_and_another_seed_something_else() -> None:
    model = make(std=0.3)
    assert write(model, seed=4, **SAMPLED) == write(model, seed=4, **SAMPLED)
    assert write(model, seed=4, **SAMPLED) != write(model, seed=5, **SAMPLED)


def test_the_random_state_of_training_is_untouched_and_has_no_say() -> None:
    model = make(std=0.3)
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first = write(model, **SAMPLED)
    assert torch.equal(torch.rand(2), expected)
    torch.manual_seed(8)
    assert write(model, **SAMPLED) == first


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_the_models_own_settings_do_not_leak_in(how: dict[str, Any]) -> None:
    clean, model = make(std=0.3), make(std=0.3)
    own = {"top_k": 1, "top_p": 0.1, "repetition_penalty": 9.0, "suppress_tokens": [3, 4, 5], "min_new_tokens": 8}
    own |= {"forced_eos_token_id": 3, "no_repeat_ngram_size": 1, "eos_token_id": 7, "num_beams": 4, "max_length": 9}
    settings = model.generation_config
    for name, value in own.items():
        setattr(settings, name, value)
    assert write(model, **how) == write(clean, **how)
    assert model.generation_config is settings
    assert all(getattr(settings, name) == value for name, value in own.items())


def test_tokens_that_a_configuration_forces_are_not_forced() -> None:
    model = make("bart", forced_bos_token_id=5, forced_eos_token_id=6)
    clean = make("bart", forced_bos_token_id=None, forced_eos_token_id=None)
    assert write(model, **GREEDY) == write(clean, **GREEDY)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_the_mode_of_the_model_is_what_it_was(monkeypatch: pytest.MonkeyPatch, training: bool, fails: bool) -> None:
    model = make("gpt2").train(training)
    settings = model.generation_config
    if fails:
        monkeypatch.setattr(model, "generate", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(model)
    else:
        write(model, **SAMPLED)
    assert model.training is training
    assert model.generation_config is settings


def test_dropout_is_off_while_writing() -> None:
    model = make("gpt2").train()
    assert write(model, **GREEDY) == write(model.eval(), **GREEDY)


def test_the_end_token_is_kept_and_all_after_it_is_cut() -> None:
    model = make(std=0.3)
    written = write(model, [[5, 6]] * 40, max_new_tokens=12)
    ended = [one for one in written if one.ended]
    cut_off = [one for one in written if not one.ended]
    assert ended
    assert cut_off
    assert len({len(one.ids) for one in ended}) > 2
    assert all(one.ids.index(END) == len(one.ids) - 1 for one in ended)
    assert all(len(one.ids) == 12 and END not in one.ids for one in cut_off)


def test_the_padding_token_may_be_the_end_token() -> None:
    model = make(std=0.3)
    as_usual = write(model, [[5, 6], [7]] * 10, **SAMPLED)
    assert write(model, [[5, 6], [7]] * 10, pad_id=END, **SAMPLED) == as_usual


def test_any_of_several_end_tokens_ends_a_text() -> None:
    written = write(make(std=0.3), [[5, 6]] * 40, end_ids=[2, 5, 9], max_new_tokens=12)
    assert {one.ids[-1] for one in written if one.ended} == {2, 5, 9}
    assert all(not {2, 5, 9} & set(one.ids[:-1]) for one in written)


@pytest.mark.parametrize("how", [GREEDY, {"max_new_tokens": 30}, {"beams": 3, "max_new_tokens": 8}],
                         ids=["greedy", "sampled", "beams"])  # fmt: skip
def test_padding_of_the_vocabulary_is_never_written(how: dict[str, Any]) -> None:
    model = make(std=0.3)
    (first, *_), _ = write(model, PROMPTS[:1], **GREEDY)[0]
    with torch.no_grad():
        model.lm_head.weight[9:] = 3 * model.lm_head.weight[first]
    free, bound = (write(model, PROMPTS[:1] * 10, vocabulary=size, **how) for size in (None, 9))
    assert any(token >= 9 for one in free for token in one.ids)
    assert all(token < 9 for one in bound for token in one.ids)


def test_temperature_and_top_p_reach_the_sampling() -> None:
    model = make(std=0.3)
    greedy = write(model, **GREEDY)
    assert write(model, temperature=1e-4, **SAMPLED) == greedy
    assert write(model, top_p=1e-4, **SAMPLED) == greedy
    assert write(model, **SAMPLED) != greedy


# Which distribution is written: counts of the first two tokens against enumeration.

TOKENS = 4
DRAWS = 2000
SHORT, LONG = [3], [1, 2, 0, 3, 1]


def pair_probabilities(models: list[tuple[Any, float]], prompt: list[int], vocabulary: int) -> torch.Tensor:
    """Return the probability of each pair of first two tokens under ``sum share * model``, token by token.

    Each model's probabilities are among the first `vocabulary` tokens.
    """

    def after(*ids: int) -> torch.Tensor:
        read = torch.tensor([[*prompt, *ids]])
        with torch.no_grad():
            parts = [share * model.eval()(read).logits[0, -1, :vocabulary].softmax(-1) for model, share in models]
        return torch.stack(parts).sum(0)

    return torch.cat([after()[first] * after(first) for first in range(vocabulary)])


def require_drawn(models: list[tuple[Any, float]], vocabulary: int, written: list[Completion]) -> None:
    """Compare counts of pairs with what enumeration expects: chi-square within 4 standard deviations of its mean."""
    for offset, prompt in enumerate([SHORT, LONG]):
        expected = DRAWS * pair_probabilities(models, prompt, vocabulary)
        pairs = [tuple(one.ids) for one in written[offset::2]]
        counts = torch.tensor([pairs.count(pair) for pair in product(range(vocabulary), repeat=2)])
        assert counts.sum() == DRAWS
        freedom = vocabulary**2 - 1
        statistic = float(((counts - expected) ** 2 / expected).sum())
        assert statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_samples_come_from_the_models_distribution() -> None:
    model = make(vocabulary=TOKENS, std=0.5)
    written = write(model, [SHORT, LONG] * DRAWS, end_ids=[], max_new_tokens=2)
    require_drawn([(model, 1.0)], TOKENS, written)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_teacher_writes_along_in_its_share(share: float, padding: int) -> None:
    """MiniLLM's mixture ``a p + (1 - a) q`` at each token, left padding and key-value cache included."""
    model = make(vocabulary=TOKENS + padding, seed=1, std=0.5)
    teacher = make(vocabulary=TOKENS + 2 * padding, seed=2, std=0.5)
    written = write(
        model, [SHORT, LONG] * DRAWS, end_ids=[], max_new_tokens=2, vocabulary=TOKENS, teacher=teacher.eval(),
        teacher_fraction=share,
    )  # fmt: skip
    require_drawn([(teacher, share), (model, 1 - share)], TOKENS, written)
    with pytest.raises(AssertionError):
        require_drawn([(model, 1.0)], TOKENS, written)  # enough draws to tell the difference


def test_a_teacher_of_share_0_is_not_asked() -> None:
    model = make(std=0.3)
    assert write(model, teacher="none", teacher_fraction=0.0, **SAMPLED) == write(model, **SAMPLED)


def test_dropout_of_the_teacher_is_off() -> None:
    model, teacher = make("gpt2", seed=1, std=0.3), make("gpt2", seed=2, std=0.3).train()
    first = write(model, teacher=teacher, teacher_fraction=0.9, **SAMPLED)
    assert write(model, teacher=teacher.eval(), teacher_fraction=0.9, **SAMPLED) == first


def test_a_teacher_may_write_all_but_alone() -> None:
    """With a share near 1 the student's text is the teacher's."""
    model, teacher = make(seed=1), make(seed=2, std=1.0).eval()
    written = write(model, teacher=teacher, teacher_fraction=1 - 1e-7, temperature=1e-3, max_new_tokens=6)
    assert written == write(teacher, temperature=0.0, max_new_tokens=6)
