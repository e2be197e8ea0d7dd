"""Scores of candidates: as formulas say, whatever else is in the batch; and prompts that act where they should."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoModel,
    AutoModelForMaskedLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
)

from limbeck.data.candidates import CandidateEncoder, EncodedRecords
from limbeck.errors import ModelError
from limbeck.losses.candidates import AdvantageActorCritic, CandidateMSE
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.readout import CandidateReadout
from limbeck.losses.term import WeightedTerm
from limbeck.models.load import load_tokenizer, load_weights
from limbeck.models.taps import run_model
from limbeck.students.scorer import CrossEncoder, DualEncoder, MaskedVerbaliser, Scorer, make_scorer
from limbeck.types import Batch, Instruction, SoftLayout

Make = Callable[..., Any]
KINDS = ("cross_encoder", "dual_encoder", "verbaliser")
SOFT = SoftLayout(tasks=("nli", "topic"), languages=("bg", "de", "fr"), task_vectors=2, language_vectors=3)
BASE = Instruction(
    id="0", source="toy", split="train", task="topic", lang="de", input="die Mannschaft spielt", input_pair=None,
    candidates=("sports", "finance team", "health"), gold=(0,),
)  # fmt: skip
RECORDS = [
    BASE,
    replace(BASE, id="1", lang="fr", input="the doctor helps by the sea at night", candidates=("health", "sports")),
    replace(BASE, id="2", input="the market", input_pair="der Arzt hilft", candidates=("team", "the doctor", "sea",
                                                                                      "finance"), gold=(3, 1)),
    replace(BASE, id="3", lang="bg", task="nli", input="отборът играе", candidates=("finance", "играе"), gold=()),
]  # fmt: skip


def prompts(record: Instruction) -> tuple[str, str]:
    return "Classify the following text", f"Text in the {record.lang}"


@pytest.fixture(scope="module")
def tokenizer(multilingual_folder: Path) -> Any:
    return load_tokenizer(str(multilingual_folder))


@pytest.fixture
def scorer_of(multilingual_folder: Path) -> Make:
    def made(kind: str, soft: SoftLayout | None = SOFT) -> Scorer:
        torch.manual_seed(1)
        scorer = make_scorer(kind, str(multilingual_folder), soft)
        if isinstance(scorer, CrossEncoder):
            for parameter in scorer.head.parameters():
                nn.init.normal_(parameter, std=0.4)
        return scorer.eval()

    return made


@pytest.fixture
def encode(tokenizer: Any) -> Make:
    def made(kind: Any, records: list[Instruction] = RECORDS, **options: Any) -> EncodedRecords:
        settings: dict[str, Any] = {"hard_prompts": prompts, "soft": SOFT, "max_length": 128}
        with_state = options.pop("with_state", False)
        return CandidateEncoder(tokenizer, kind, **(settings | options)).encode(records, with_state=with_state)

    return made


def scores_of(scorer: Scorer, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return run_model(scorer, batch)["logits"]


def close(first: Tensor, second: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(first, second, atol=tolerance, rtol=tolerance)


class TestAllKinds:
    @pytest.mark.parametrize("kind", KINDS)
    def test_places_without_candidate_are_minus_infinity(self, scorer_of: Make, encode: Make, kind: str) -> None:
        scores = scores_of(scorer_of(kind), encode(kind).batch(range(4)))
        assert scores.shape == (4, 4)
        assert scores.isneginf().tolist() == [[False] * n + [True] * (4 - n) for n in (3, 2, 4, 2)]
        real = scores[scores.isfinite()]
        assert len(real.unique()) == len(real)  # all differ, so a wrong place would show

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_record_has_the_same_scores_alone_and_among_longer_ones(
        self, scorer_of: Make, encode: Make, kind: str
    ) -> None:
        scorer, encoded = scorer_of(kind), encode(kind)
        together = scores_of(scorer, encoded.batch([3, 1, 0, 2]))[[2, 1, 3, 0]]
        alone = torch.cat([scores_of(scorer, encoded.batch([row])) for row in range(4)])
        close(together, alone)
        wide = scores_of(scorer, encoded.batch([0], 6))
        close(wide[:, :4], alone[:1])
        assert wide[:, 4:].isneginf().all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_candidates_in_another_order_have_their_scores_in_that_order(
        self, scorer_of: Make, encode: Make, kind: str
    ) -> None:
        scorer, order = scorer_of(kind), [2, 0, 3, 1]
        record = RECORDS[2]
        turned = replace(record, candidates=tuple(record.candidates[k] for k in order))
        scores = scores_of(scorer, encode(kind, [record]).batch([0]))
        close(scores_of(scorer, encode(kind, [turned]).batch([0])), scores[:, order])

    @pytest.mark.parametrize("kind", KINDS)
    def test_gradients_are_finite_where_candidates_are_missing(self, scorer_of: Make, encode: Make, kind: str) -> None:
        batch = whole_batch(encode(kind), scorer_of(kind))
        for term in (CandidateMSE(), CandidateMSE(outputs="probs"), LabelCrossEntropy()):
            objective = Objective(scorer_of(kind), (WeightedTerm("term", term),), CandidateReadout())
            loss, _ = objective(batch, objective.count([batch]))
            loss.backward()
            assert loss.isfinite()
            gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
            assert all(gradient.isfinite().all() for gradient in gradients.values())
            assert any("soft_prompts" in name and gradient.abs().max() > 0 for name, gradient in gradients.items())

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("term", [CandidateMSE(), LabelCrossEntropy()])
    def test_micro_batches_give_the_gradient_of_the_whole_batch(
        self, scorer_of: Make, encode: Make, kind: str, term: Any
    ) -> None:
        scorer, encoded = scorer_of(kind), encode(kind)
        objective = Objective(scorer, (WeightedTerm("term", term),), CandidateReadout())
        whole = whole_batch(encoded, scorer)
        expected = gradient(objective, [whole])
        assert expected.abs().max() > 1e-2
        for parts in ([[0, 1], [2, 3]], [[3], [2], [0], [1]], [[0, 1, 2], [3]]):
            close(gradient(objective, [whole_batch(encoded, scorer, rows) for rows in parts]), expected)


def whole_batch(encoded: EncodedRecords, scorer: Scorer, rows: list[int] | None = None) -> Batch:
    """A batch and what a teacher says about it: other scores of the same candidates."""
    picked = np.arange(len(encoded.records)) if rows is None else np.array(rows)
    width = encoded.candidates
    noise = torch.randn(len(encoded.records), width, generator=torch.Generator().manual_seed(0))[picked]
    present = encoded.present(picked, width)
    return {
        "student": encoded.batch(picked, width),
        "labels_B": torch.from_numpy(encoded.label_ids[picked]),
        "gold_BK": encoded.gold(picked, width),
        "candidates_BK": present,
        "rows_B": torch.from_numpy(picked),
        "signal": {"logits": noise.masked_fill(~present, -math.inf)},
    }


def gradient(objective: Objective, batches: list[Batch]) -> Tensor:
    objective.zero_grad()
    counts = objective.count(batches)
    for batch in batches:
        loss, _ = objective(batch, counts)
        loss.backward()
    return torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])


class TestSoftPrompts:
    def test_tasks_and_languages_add_up(self, multilingual_folder: Path) -> None:
        layout = SoftLayout(tuple("abcdefghi"), tuple("abcdefghijkl"), task_vectors=8, language_vectors=8)
        for kind in KINDS:
            with_soft = make_scorer(kind, str(multilingual_folder), layout)
            (table,) = with_soft.prompt_parameters()
            assert table.numel() == (9 + 12) * 8 * 32
            without = make_scorer(kind, str(multilingual_folder), None)
            assert without.prompt_parameters() == []
            total, rest = (sum(p.numel() for p in scorer.parameters()) for scorer in (with_soft, without))
            assert total - rest == table.numel()

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_languages_vectors_change_its_own_scores_alone(self, scorer_of: Make, encode: Make, kind: str) -> None:
        scorer, batch = scorer_of(kind), encode(kind).batch(range(4))
        before = scores_of(scorer, batch)
        rows = SOFT.language_rows("fr")
        with torch.no_grad():
            scorer.soft_prompts.weight[rows.start : rows.stop] += torch.randn(3, 32)
        after = scores_of(scorer, batch)
        for row in (0, 2, 3):
            assert torch.equal(after[row], before[row])
        assert (after - before)[1, :2].abs().min() > 1e-4

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_tasks_vectors_change_its_own_scores_alone(self, scorer_of: Make, encode: Make, kind: str) -> None:
        scorer, batch = scorer_of(kind), encode(kind).batch(range(4))
        before = scores_of(scorer, batch)
        rows = SOFT.task_rows("topic")
        with torch.no_grad():
            scorer.soft_prompts.weight[rows.start : rows.stop] += torch.randn(2, 32)
        after = scores_of(scorer, batch)
        assert torch.equal(after[3], before[3])
        real = before[:3].isfinite()
        assert (after[:3] - before[:3])[real].abs().min() > 1e-4

    def test_vectors_that_are_word_embeddings_read_like_those_words(self, scorer_of: Make, tokenizer: Any) -> None:
        """So they have attention, and position ids run on over them: the encoder reads the ids itself here."""
        scorer = scorer_of("cross_encoder", SoftLayout(("topic",), ("de",), 2, 1))
        words = tokenizer.convert_tokens_to_ids(["▁the", "▁team", "▁plays"])
        with torch.no_grad():
            scorer.soft_prompts.weight.copy_(scorer.get_input_embeddings().weight[words])
        encoder = CandidateEncoder(
            tokenizer, "cross_encoder", hard_prompts=lambda _: ("", ""), max_length=128,
            soft=SoftLayout(("topic",), ("de",), 2, 1),
        )  # fmt: skip
        record = replace(BASE, input="in the city today", candidates=("sports", "finance market health"))
        batch = encoder.encode([record]).batch([0])
        plain = tokenizer(["the team plays in the city today"] * 2, list(record.candidates), padding=True,
                          return_tensors="pt")  # fmt: skip
        with torch.no_grad():
            ours = scorer.encode(batch["input_ids"], batch["attention_mask"], batch["soft_rows"], None)
            expected = scorer.encoder(**plain).last_hidden_state
        real = plain["attention_mask"].bool()
        assert torch.equal(batch["attention_mask"], plain["attention_mask"])
        close(ours[real], expected[real])

    def test_they_begin_as_the_mean_embedding_of_a_text(self, scorer_of: Make) -> None:
        scorer = scorer_of("dual_encoder")
        before = scorer.soft_prompts.weight.detach().clone()
        scorer.initialise_soft_prompts({SOFT.task_rows("topic"): [7, 9], SOFT.language_rows("de"): [11],
                                        SOFT.language_rows("fr"): []})  # fmt: skip
        table, after = scorer.get_input_embeddings().weight, scorer.soft_prompts.weight
        close(after[2:4], ((table[7] + table[9]) / 2).expand(2, -1))
        close(after[7:10], table[11].expand(3, -1))
        untouched = [0, 1, 4, 5, 6, 10, 11, 12]
        assert torch.equal(after[untouched], before[untouched])

    @pytest.mark.parametrize("narrow", [AlbertModel(AlbertConfig(vocab_size=50, embedding_size=8, hidden_size=16,
                                                                 num_attention_heads=2, intermediate_size=16)),
                                        ElectraModel(ElectraConfig(vocab_size=50, embedding_size=8, hidden_size=16,
                                                                   num_attention_heads=2, num_hidden_layers=1,
                                                                   intermediate_size=16))])  # fmt: skip
    def test_they_are_as_wide_as_the_word_embeddings(self, narrow: Any) -> None:
        scorer = CrossEncoder(narrow, SOFT).eval()
        scorer.initialise_soft_prompts({SOFT.task_rows("topic"): [7, 9]})
        ids, soft = torch.tensor([[5, 6, 7]]), torch.tensor([[-1, 2, -1]])
        assert scorer.encode(ids, torch.ones_like(ids), soft, None).shape == (1, 3, 16)


class TestCrossEncoder:
    def test_head(self, scorer_of: Make, encode: Make) -> None:
        scorer, batch = scorer_of("cross_encoder", None), encode("cross_encoder", soft=None).batch([0])
        with torch.no_grad():
            hidden = scorer.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            weight, bias, out = (p for p in scorer.head.parameters())
            expected = torch.tanh(hidden[:, 0] @ weight.T + bias) @ out.squeeze(0)
        close(scores_of(scorer, batch)[0, :3], expected)

    def test_dropout_while_training_alone(self, scorer_of: Make, encode: Make) -> None:
        scorer, batch = scorer_of("cross_encoder"), encode("cross_encoder").batch([0])
        assert [module.p for module in scorer.head if isinstance(module, nn.Dropout)] == [0.1, 0.1]
        assert torch.equal(scores_of(scorer, batch), scores_of(scorer, batch))
        assert not torch.equal(scores_of(scorer.train(), batch), scores_of(scorer, batch))

    def test_token_types_are_read_by_models_that_have_them(self) -> None:
        batch = {"input_ids": torch.tensor([[2, 5, 3, 6, 3]]), "attention_mask": torch.ones(1, 5, dtype=torch.int64),
                 "index_BK": torch.tensor([[0]]), "token_type_ids": torch.tensor([[0, 0, 0, 1, 1]])}  # fmt: skip
        torch.manual_seed(0)
        shape = {"vocab_size": 20, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
        bert = CrossEncoder(BertModel(BertConfig(**shape, num_hidden_layers=1, initializer_range=0.5)), None).eval()
        with_types = scores_of(bert, batch)
        assert (
            scores_of(bert, batch | {"token_type_ids": torch.zeros(1, 5, dtype=torch.int64)}) - with_types
        ).abs() > 1e-4
        config = DistilBertConfig(vocab_size=20, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
        distilbert = CrossEncoder(DistilBertModel(config), None).eval()
        assert scores_of(distilbert, batch).isfinite().all()


def test_a_dual_encoder_compares_means_over_text_and_marks(scorer_of: Make, encode: Make, tokenizer: Any) -> None:
    scorer, batch = scorer_of("dual_encoder", None), encode("dual_encoder", soft=None).batch([0])

    def mean(side: str, i: int, prompt: int) -> Tensor:
        """Of the first token, which is a mark, and of all behind the prompt."""
        length = int(batch[f"{side}attention_mask"][i].sum())
        with torch.no_grad():
            hidden = scorer.encoder(batch[f"{side}input_ids"][i : i + 1, :length]).last_hidden_state[0]
        return torch.cat([hidden[:1], hidden[1 + prompt :]]).mean(dim=0)

    task, language = (len(tokenizer.tokenize(text)) for text in prompts(BASE))
    query = mean("", 0, prompt=task + language)
    cosines = [torch.cosine_similarity(query, mean("candidate_", k, prompt=language), dim=0) for k in range(3)]
    close(scores_of(scorer, batch)[0, :3], torch.stack(cosines) / 0.05, 1e-4)


def test_a_dual_encoder_reads_like_lengths_together(
    scorer_of: Make, encode: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time, so that one long candidate does not pad all others; scores and gradients stay."""
    scorer = scorer_of("dual_encoder")
    texts = [("city " * n).strip() for n in (3, 30, 1, 12, 2, 29, 4)]
    record = replace(BASE, candidates=tuple(texts))
    batch = encode("dual_encoder", records=[record]).batch([0])

    def run(together: int) -> tuple[Tensor, Tensor, list[tuple[int, ...]]]:
        monkeypatch.setattr("limbeck.students.scorer._CANDIDATES_TOGETHER", together)
        read: list[tuple[int, ...]] = []
        encode_all = scorer.encode

        def spy(input_ids: Tensor, *others: Tensor | None) -> Tensor:
            read.append(tuple(input_ids.shape))
            return encode_all(input_ids, *others)

        monkeypatch.setattr(scorer, "encode", spy)
        scorer.zero_grad()
        scores = scorer(**batch).logits
        scores[0, 1].backward()
        monkeypatch.setattr(scorer, "encode", encode_all)
        assert scorer.soft_prompts is not None
        assert scorer.soft_prompts.weight.grad is not None
        return scores.detach(), scorer.soft_prompts.weight.grad.clone(), read

    sides = encode("dual_encoder", records=[record]).two_sides([0])
    with torch.no_grad():
        query, candidates = (scorer.vectors(**side.batch(range(len(side.sequences)))) for side in sides[:2])
    whole, split = run(32), run(2)
    close(whole[0], scorer.scores(query, candidates, sides.index_BK), 1e-4)
    close(split[0], whole[0], 1e-4)
    close(split[1], whole[1], 1e-4)
    assert len(whole[2]) == 2
    assert [shape[0] for shape in split[2][1:]] == [2, 2, 2, 1]
    widths = [shape[1] for shape in split[2][1:]]
    assert widths == sorted(widths)
    assert widths[0] + 20 < widths[-1] == whole[2][1][1]


class TestVerbaliser:
    def test_against_one_word_at_a_time(
        self, scorer_of: Make, encode: Make, tokenizer: Any, multilingual_folder: Path
    ) -> None:
        model = AutoModelForMaskedLM.from_pretrained(multilingual_folder).eval()
        record = RECORDS[2]
        prompt = tokenizer(" ".join(prompts(record)), add_special_tokens=False)["input_ids"]
        mark, end = [2, 2], [2]
        inputs = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (record.input, record.input_pair)]

        def pseudo_log_likelihood(candidate: str, first: list[int], second: list[int]) -> float:
            words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in candidate.split()]
            total, pieces = 0.0, sum(len(word) for word in words)
            for number, word in enumerate(words):
                shown = [[tokenizer.mask_token_id] * len(w) if i == number else w for i, w in enumerate(words)]
                before = [0, *prompt, *first, *mark, *second, *mark]
                start = len(before) + sum(len(w) for w in words[:number])
                ids = [*before, *(piece for w in shown for piece in w), *end]
                with torch.no_grad():
                    log_probs = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
                total += sum(float(log_probs[start + i, piece]) for i, piece in enumerate(word))
            return total / pieces

        expected = [pseudo_log_likelihood(c, *inputs) - pseudo_log_likelihood(c, [], []) for c in record.candidates]
        batch = encode("verbaliser", soft=None).batch([0, 2])
        scores = scores_of(scorer_of("verbaliser", None), batch)[1]
        assert scores.tolist() == pytest.approx(expected, abs=1e-4)
        assert np.ptp(expected) > 0.01

    def test_the_mean_over_pieces_ranks_and_not_the_sum(
        self, scorer_of: Make, encode: Make, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pieces: sports (-.9), finance (-.4, -.8), health (-1.5); without the input all are equally likely."""
        scorer = scorer_of("verbaliser", None)
        words = ("sports", "finance", "health")
        encoded = encode("verbaliser", [replace(BASE, candidates=words)], soft=None)
        team, masked = tokenizer.convert_tokens_to_ids("▁Mannschaft"), tokenizer.mask_token_id
        pieces = {1: {"▁sports": -0.9, "▁health": -1.5}, 2: {"▁fin": -0.4}, 3: {"ance": -0.8}}

        def see(input_ids: Tensor, *_: Any) -> Tensor:
            """0 without input, 1 at the only mask, 2 and 3 at the first and second of two."""
            mask = input_ids == masked
            which = torch.where(mask.sum(dim=1, keepdim=True) == 2, 1 + mask.cumsum(dim=1), 1)
            return (which * (input_ids == team).any(dim=1, keepdim=True)).float()[..., None]

        class Head(nn.Module):
            def forward(self, hidden: Tensor) -> Tensor:
                probs = torch.full((len(hidden), len(tokenizer)), 1 / len(tokenizer))
                for row, kind in enumerate(hidden[:, 0].int().tolist()):
                    given = {tokenizer.convert_tokens_to_ids(t): math.exp(v) for t, v in pieces.get(kind, {}).items()}
                    if given:
                        probs[row] = (1 - sum(given.values())) / (len(tokenizer) - len(given))
                        probs[row, list(given)] = torch.tensor(list(given.values()))
                return 7 + probs.log()  # any shift of logits is the same distribution

        monkeypatch.setattr(scorer, "encode", see)
        scorer.lm_head = Head()
        scores = scores_of(scorer, encoded.batch([0]))[0] - math.log(len(tokenizer))
        assert scores.tolist() == pytest.approx([-0.9, -0.6, -1.5], abs=1e-4)

    def test_each_masked_position_is_projected_once(self, scorer_of: Make, encode: Make) -> None:
        scorer = scorer_of("verbaliser")
        asked: list[int] = []
        scorer.lm_head.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
        records = [replace(BASE, candidates=("sports", "health", "team", "finance")), BASE]
        batch = encode("verbaliser", records).batch([0, 1])
        scores_of(scorer, batch)
        # With and without input: one <mask>, <mask> <mask>; "finance team": <mask> <mask> team, fin ance <mask>.
        assert asked == [2 * (1 + 2 + 2 + 1)]
        assert len(batch["masked_M4"]) == 2 * (5 + 5)

    def test_heads_of_several_parts_are_refused(self) -> None:
        config = DistilBertConfig(vocab_size=20, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
        with pytest.raises(ModelError, match=r"DistilBertForMaskedLM has \d parts"):
            MaskedVerbaliser(DistilBertForMaskedLM(config), None)

    def test_bert(self) -> None:
        shape = {"vocab_size": 20, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
        model = BertForMaskedLM(BertConfig(**shape, num_hidden_layers=1)).eval()
        ids = torch.tensor([[2, 5, 3, 4, 3]])
        scores = scores_of(MaskedVerbaliser(model, None).eval(), {
            "input_ids": ids, "attention_mask": torch.ones_like(ids), "masked_M4": torch.tensor([[0, 3, 9, 0]]),
            "weight_M": torch.tensor([0.5]), "index_BK": torch.tensor([[0]]),
        })  # fmt: skip
        with torch.no_grad():
            expected = model(ids).logits[0, 3].log_softmax(dim=-1)[9] / 2
        close(scores[0, 0], expected)


class TestCritic:
    @pytest.fixture(params=["cross_encoder", "dual_encoder"])
    def setting(
        self, request: pytest.FixtureRequest, scorer_of: Make, encode: Make
    ) -> tuple[Scorer, dict[str, Tensor]]:
        return scorer_of(request.param), encode(request.param, with_state=True).batch(range(4))

    def test_scores_are_the_same_with_one(self, setting: tuple[Scorer, dict[str, Tensor]]) -> None:
        scorer, batch = setting
        before = run_model(scorer, batch)
        assert "value_B" not in before
        scorer.add_critic()
        assert torch.equal(run_model(scorer, batch)["logits"], before["logits"])

    def test_value_of_the_sequence_without_candidate(self, setting: tuple[Scorer, dict[str, Tensor]]) -> None:
        scorer, batch = setting
        scorer.add_critic()
        value = run_model(scorer, batch)["value_B"]
        first = scorer.encode(batch["state_input_ids"], batch["state_attention_mask"], batch["state_soft_rows"], None)
        one, _, two = scorer.critic
        expected = torch.tanh(first[:, 0] @ one.weight.T + one.bias) @ two.weight[0] + two.bias
        close(value, expected)
        assert value.shape == (4,)
        assert len(value.unique()) == 4

    def test_a_tenth_of_its_gradient_reaches_the_encoder(self, setting: tuple[Scorer, dict[str, Tensor]]) -> None:
        scorer, batch = setting
        scorer.add_critic()
        names, parameters = zip(*scorer.named_parameters(), strict=True)
        ours = torch.autograd.grad(run_model(scorer, batch)["value_B"].square().sum(), parameters, allow_unused=True)
        first = scorer.encode(batch["state_input_ids"], batch["state_attention_mask"], batch["state_soft_rows"], None)
        whole = torch.autograd.grad(scorer.critic(first[:, 0]).square().sum(), parameters, allow_unused=True)
        reached = 0
        for name, mine, full in zip(names, ours, whole, strict=True):
            assert (mine is None) == (full is None)
            if full is not None and mine is not None:
                share = 1.0 if name.startswith("critic") else 0.1
                close(mine, share * full)
                reached += bool(full.abs().max() > 1e-4) and share < 1
        assert reached > 5

    def test_actor_and_critic_learn_from_one_pass(self, scorer_of: Make, encode: Make) -> None:
        scorer = scorer_of("cross_encoder")
        scorer.add_critic()
        batch = whole_batch(encode("cross_encoder", with_state=True), scorer)
        objective = Objective(scorer, (WeightedTerm("actor_critic", AdvantageActorCritic()),), CandidateReadout())
        loss, _ = objective(batch, objective.count([batch]))
        loss.backward()
        gradients = {name: p.grad for name, p in scorer.named_parameters() if p.grad is not None}
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        assert gradients["critic.2.weight"].abs().max() > 0
        assert gradients["soft_prompts.weight"].abs().max() > 0


class TestFolder:
    @pytest.mark.parametrize("kind", KINDS)
    def test_auto_model_reads_the_encoder(self, scorer_of: Make, kind: str, tmp_path: Path) -> None:
        scorer = scorer_of(kind)
        with torch.no_grad():
            for parameter in scorer.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        scorer.save_pretrained(tmp_path)
        encoder, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
        assert all("pooler" in name for name in info["missing_keys"])
        ids = torch.tensor([[0, 9, 50, 33, 2]])
        with torch.no_grad():
            close(encoder.eval()(ids).last_hidden_state, scorer.encoder(ids).last_hidden_state)

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("critic", [False, True])
    def test_weights_come_back(self, scorer_of: Make, encode: Make, kind: str, critic: bool, tmp_path: Path) -> None:
        scorer, other = scorer_of(kind), scorer_of(kind)
        with torch.no_grad():
            for parameter in scorer.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        if critic:
            scorer.add_critic()
            other.add_critic()
        scorer.save_pretrained(tmp_path)
        batch = encode(kind, with_state=critic).batch(range(4))
        assert not torch.allclose(scores_of(other, batch), scores_of(scorer, batch))
        load_weights(other, tmp_path)
        assert torch.equal(scores_of(other, batch), scores_of(scorer, batch))
        own, back = dict(scorer.named_parameters()), dict(other.named_parameters())
        assert all(torch.equal(own[name], back[name]) for name in own)

    def test_the_verbalisers_tied_weights_are_one_tensor_before_and_after(
        self, scorer_of: Make, tmp_path: Path
    ) -> None:
        scorer, other = scorer_of("verbaliser"), scorer_of("verbaliser")
        scorer.save_pretrained(tmp_path)
        assert "lm_head.decoder.weight" not in scorer.state_dict()
        assert not any(other.load_state_dict(scorer.state_dict(), strict=False))  # neither missing nor unknown
        load_weights(other, tmp_path)
        for one in (scorer, other):
            assert one.lm_head.decoder.weight is one.get_input_embeddings().weight
        inside = nn.ModuleDict({"student": scorer}).state_dict()  # as in a checkpoint of the objective
        assert {f"student.{name}" for name in scorer.state_dict()} == set(inside)

    def test_parameters_are_named_as_in_a_checkpoint_with_a_head(self, scorer_of: Make) -> None:
        names = set(scorer_of("cross_encoder").state_dict())
        assert "roberta.embeddings.word_embeddings.weight" in names
        assert {name.split(".")[0] for name in names} == {"roberta", "head", "soft_prompts"}


@pytest.mark.parametrize("kind", KINDS)
def test_models_with_a_decoder_are_refused(kind: str, tmp_path: Path) -> None:
    config = BartConfig(vocab_size=20, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16)  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"Bart.* has an encoder and a decoder; a scorer needs only an encoder"):
        make_scorer(kind, str(tmp_path), None)


def test_no_scorer_takes_more_than_ten_arguments() -> None:
    """Candidates and a critic's sequences come as groups, which `run_model` passes on by their prefix."""
    for kind in (CrossEncoder, DualEncoder, MaskedVerbaliser):
        assert len(inspect.signature(kind.forward).parameters) <= 10
    assert DualEncoder.input_groups == ("candidate_", "state_")
