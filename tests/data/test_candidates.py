"""What a scorer reads, piece by piece: marks, soft places, prompts that stay whole, input that is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.candidates import CandidateEncoder, EncodedRecords, _cut
from limbeck.errors import ConfigError, ModelError
from limbeck.models.load import load_tokenizer
from limbeck.types import UNLABELLED, Instruction, SoftLayout

Make = Callable[..., Any]
SOFT = SoftLayout(tasks=("nli", "topic"), languages=("en", "sk"), task_vectors=2, language_vectors=1)
RECORD = Instruction(
    id="toy/train/sk/1", source="toy", split="train", task="topic", lang="sk", input="tím hrá dnes", input_pair=None,
    candidates=("sports", "finance team"), gold=(0,),
)  # fmt: skip
PAIR = replace(RECORD, id="toy/train/sk/2", input_pair="pacient spí")
HEAD = "<s> [2] [3] [5] ▁Classify ▁the ▁text ▁Text ▁in ▁Slovak"
KINDS = ("cross_encoder", "dual_encoder", "verbaliser")


def prompts(record: Instruction) -> tuple[str, str]:
    return "Classify the text", {"sk": "Text in Slovak", "en": "Text in English"}[record.lang]


@pytest.fixture(scope="module")
def tokenizer(multilingual_folder: Path) -> Any:
    return load_tokenizer(str(multilingual_folder))


@pytest.fixture
def encode(tokenizer: Any) -> Make:
    def made(kind: Any, *records: Instruction, with_state: bool = False, **options: Any) -> EncodedRecords:
        settings: dict[str, Any] = {"hard_prompts": prompts, "soft": SOFT, "max_length": 128} | options
        return CandidateEncoder(settings.pop("tokenizer", tokenizer), kind, **settings).encode(
            records, with_state=with_state
        )

    return made


def spelled(tokenizer: Any, batch: dict[str, torch.Tensor], side: str = "") -> list[str]:
    """Each sequence as tokens, ``[row]`` for a soft vector; padding must be masked and carry no vector."""
    ids, mask = batch[f"{side}input_ids"], batch[f"{side}attention_mask"]
    soft = batch.get(f"{side}soft_rows", torch.full_like(ids, -1))
    lines = []
    for i in range(len(ids)):
        n = int(mask[i].sum())
        assert mask[i].tolist() == [1] * n + [0] * (ids.shape[1] - n)
        assert ids[i, n:].eq(tokenizer.pad_token_id).all()
        assert soft[i, n:].eq(-1).all()
        tokens = tokenizer.convert_ids_to_tokens(ids[i, :n].tolist())
        lines.append(" ".join(f"[{r}]" if r >= 0 else t for t, r in zip(tokens, soft[i, :n].tolist(), strict=True)))
    return lines


class TestLayout:
    def test_cross_encoder(self, encode: Make, tokenizer: Any) -> None:
        batch = encode("cross_encoder", RECORD).batch([0])
        assert spelled(tokenizer, batch) == [
            f"{HEAD} ▁tím ▁hrá ▁dnes </s> </s> ▁sports </s>",
            f"{HEAD} ▁tím ▁hrá ▁dnes </s> </s> ▁fin ance ▁team </s>",
        ]
        assert batch["index_BK"].tolist() == [[0, 1]]
        assert "token_type_ids" not in batch  # XLM-R has none

    def test_cross_encoder_with_a_pair(self, encode: Make, tokenizer: Any) -> None:
        lines = spelled(tokenizer, encode("cross_encoder", PAIR).batch([0]))
        assert lines[0] == f"{HEAD} ▁tím ▁hrá ▁dnes </s> </s> ▁pacient ▁spí </s> </s> ▁sports </s>"

    def test_dual_encoder(self, encode: Make, tokenizer: Any) -> None:
        batch = encode("dual_encoder", RECORD).batch([0])
        assert spelled(tokenizer, batch) == [f"{HEAD} ▁tím ▁hrá ▁dnes </s>"]
        assert spelled(tokenizer, batch, "candidate_") == [
            "<s> [5] ▁Text ▁in ▁Slovak ▁sports </s>",
            "<s> [5] ▁Text ▁in ▁Slovak ▁fin ance ▁team </s>",
        ]
        # Pooled are the text and the marks around it; prompts act through attention alone.
        assert batch["pool_mask"].tolist() == [[1] + [0] * 9 + [1] * 3 + [1]]
        assert batch["candidate_pool_mask"].tolist() == [[1, 0, 0, 0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 1, 1, 1, 1]]
        assert batch["index_BK"].tolist() == [[0, 1]]

    def test_dual_encoder_with_a_pair(self, encode: Make, tokenizer: Any) -> None:
        batch = encode("dual_encoder", PAIR).batch([0])
        assert spelled(tokenizer, batch) == [f"{HEAD} ▁tím ▁hrá ▁dnes </s> </s> ▁pacient ▁spí </s>"]
        assert batch["pool_mask"].tolist() == [[1] + [0] * 9 + [1] * 8]

    def test_verbaliser(self, encode: Make, tokenizer: Any) -> None:
        batch = encode("verbaliser", RECORD).batch([0])
        text, middle = f"{HEAD} ▁tím ▁hrá ▁dnes", "</s> </s>"
        assert spelled(tokenizer, batch) == [
            f"{text} {middle} <mask> </s>",
            f"{HEAD} {middle} <mask> </s>",
            f"{text} {middle} <mask> <mask> ▁team </s>",
            f"{HEAD} {middle} <mask> <mask> ▁team </s>",
            f"{text} {middle} ▁fin ance <mask> </s>",
            f"{HEAD} {middle} ▁fin ance <mask> </s>",
        ]
        sports, fin, ance, team = tokenizer.convert_tokens_to_ids(["▁sports", "▁fin", "ance", "▁team"])
        assert batch["masked_M4"].tolist() == [
            [0, 15, sports, 0], [1, 12, sports, 0],
            [2, 15, fin, 1], [2, 16, ance, 1], [3, 12, fin, 1], [3, 13, ance, 1],
            [4, 17, team, 1], [5, 14, team, 1],
        ]  # fmt: skip
        third = 1 / 3
        assert batch["weight_M"].tolist() == pytest.approx([1, -1, third, third, -third, -third, third, -third])
        assert batch["index_BK"].tolist() == [[0, 1]]

    def test_candidates_with_equal_masked_sequences_share_them(self, encode: Make, tokenizer: Any) -> None:
        records = [replace(RECORD, candidates=("sports", "health", "team"))] * 2
        batch = encode("verbaliser", *records).batch([0, 1])
        assert len(batch["input_ids"]) == 2  # one with the input and one without, for six candidates
        assert batch["masked_M4"][:, 0].tolist() == [0, 1] * 6
        assert batch["masked_M4"][:, 3].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]

    def test_without_soft_prompts_and_without_texts(self, encode: Make, tokenizer: Any) -> None:
        bare = {"soft": None, "hard_prompts": lambda record: ("", "")}
        cross = encode("cross_encoder", RECORD, **bare).batch([0])
        assert "soft_rows" not in cross
        assert spelled(tokenizer, cross)[0] == "<s> ▁tím ▁hrá ▁dnes </s> </s> ▁sports </s>"
        dual = encode("dual_encoder", RECORD, **bare).batch([0])
        assert spelled(tokenizer, dual) == ["<s> ▁tím ▁hrá ▁dnes </s>"]
        assert spelled(tokenizer, dual, "candidate_")[0] == "<s> ▁sports </s>"

    def test_one_level_of_soft_prompts(self, encode: Make, tokenizer: Any) -> None:
        tasks_only = encode("cross_encoder", RECORD, soft=replace(SOFT, language_vectors=0)).batch([0])
        assert spelled(tokenizer, tasks_only)[0].startswith("<s> [2] [3] ▁Classify")
        languages_only = encode("cross_encoder", RECORD, soft=replace(SOFT, task_vectors=0)).batch([0])
        assert spelled(tokenizer, languages_only)[0].startswith("<s> [1] ▁Classify")

    def test_the_critic_reads_the_sequence_without_candidate(self, encode: Make, tokenizer: Any) -> None:
        for kind in ("cross_encoder", "dual_encoder"):
            batch = encode(kind, RECORD, PAIR, with_state=True).batch([0, 1])
            assert spelled(tokenizer, batch, "state_") == [
                f"{HEAD} ▁tím ▁hrá ▁dnes </s>",
                f"{HEAD} ▁tím ▁hrá ▁dnes </s> </s> ▁pacient ▁spí </s>",
            ]
            assert not any(name.startswith("state_") for name in encode(kind, RECORD).batch([0]))


class TestTokenTypes:
    """Of models that tell two segments apart, as BERT does."""

    @pytest.fixture
    def bert(self, encode: Make, make_tokenizer: Make) -> Make:
        def made(kind: str, *records: Instruction) -> dict[str, torch.Tensor]:
            own = {"tokenizer": make_tokenizer(), "hard_prompts": lambda record: ("is", ""), "soft": None}
            return encode(kind, *records, **own).batch(range(len(records)))

        return made

    def test_of_one_text_and_a_candidate(self, bert: Make, make_tokenizer: Make) -> None:
        batch = bert("cross_encoder", replace(RECORD, input="the cat", candidates=("dogs", "running")))
        assert spelled(make_tokenizer(), batch)[0] == "[CLS] is the cat [SEP] dog ##s [SEP]"
        assert batch["token_type_ids"][0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
        own = make_tokenizer()("is the cat", "dogs")
        assert batch["token_type_ids"][0].tolist() == own["token_type_ids"]
        assert batch["input_ids"][0].tolist() == own["input_ids"]

    def test_of_a_pair_and_a_candidate(self, bert: Make, make_tokenizer: Make) -> None:
        pair = replace(RECORD, input="the cat", input_pair="a dog", candidates=("dogs", "running"))
        batch = bert("cross_encoder", pair)
        assert spelled(make_tokenizer(), batch)[0] == "[CLS] is the cat [SEP] a dog [SEP] dog ##s [SEP]"
        assert batch["token_type_ids"][0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
        # Without the texts (the verbaliser's second sequence) the marks keep their segments.
        free = bert("verbaliser", pair)
        assert spelled(make_tokenizer(), free)[1] == "[CLS] is [SEP] [SEP] [MASK] [MASK] [SEP]"
        assert free["token_type_ids"][1].tolist()[:7] == [0, 0, 0, 1, 1, 1, 1]

    def test_of_a_dual_encoder(self, bert: Make) -> None:
        batch = bert("dual_encoder", replace(RECORD, input="the cat", input_pair="a dog", candidates=("dogs", "a")))
        assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]
        assert batch["candidate_token_type_ids"].eq(0).all()


class TestRoom:
    LONG = replace(RECORD, input="the team plays in the city today " * 5)
    LONG_PAIR = replace(LONG, input_pair="der Arzt hilft am Meer " * 4)

    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("record", [RECORD, PAIR, LONG, LONG_PAIR])
    def test_no_sequence_is_too_long_and_only_the_input_is_cut(
        self, encode: Make, tokenizer: Any, kind: str, record: Instruction
    ) -> None:
        whole = len(tokenizer.tokenize(record.input)) + len(tokenizer.tokenize(record.input_pair or ""))
        fits = []
        for longest in range(8, 90):
            try:
                batch = encode(kind, record, max_length=longest, with_state=True).batch([0])
            except ConfigError:
                continue
            fits.append(longest)
            for name, ids in batch.items():
                if name.endswith("input_ids"):
                    assert ids.shape[1] <= longest
            for line in spelled(tokenizer, batch):
                assert line.startswith(HEAD + " ")
                assert kind == "dual_encoder" or line.endswith(
                    ("▁sports </s>", "▁fin ance ▁team </s>", "<mask> </s>", "▁team </s>")
                )
            inside = len(spelled(tokenizer, batch, "state_")[0].split()) - 11 - 2 * (record.input_pair is not None)
            assert min(8, whole) <= inside <= whole
        assert fits == list(range(fits[0], 90))  # once there is room, more length never takes it away
        assert fits[0] < 40

    def test_a_cut_input_fills_what_is_left(self, encode: Make, tokenizer: Any) -> None:
        batch = encode("cross_encoder", self.LONG, max_length=30).batch([0])
        assert batch["attention_mask"].sum(dim=1).tolist() == [30, 30]  # cut to the candidate at hand
        dual = encode("dual_encoder", self.LONG, max_length=30).batch([0])
        assert dual["attention_mask"].sum().item() == 30

    def test_of_a_pair_the_longer_text_is_cut_first(self, encode: Make, tokenizer: Any) -> None:
        record = replace(self.LONG, input_pair="der Arzt hilft")
        line = spelled(tokenizer, encode("cross_encoder", record, max_length=35).batch([0]))[0]
        assert "</s> </s> ▁der ▁Arzt ▁hilft </s> </s> ▁sports </s>" in line
        assert "▁the ▁team ▁plays" in line

    @pytest.mark.parametrize("kind", ["cross_encoder", "dual_encoder", "verbaliser"])
    def test_soft_prompts_that_leave_no_room_are_refused(self, encode: Make, kind: str) -> None:
        layout = replace(SOFT, task_vectors=20, language_vectors=20)
        with pytest.raises(ConfigError, match=r"record toy/train/sk/1: 40 soft prompt vectors, 6 tokens of hard"):
            encode(kind, RECORD, soft=layout, max_length=48)
        assert len(encode(kind, RECORD, soft=layout, max_length=64).batch([0])["input_ids"])

    def test_a_candidate_that_leaves_no_room_is_refused(self, encode: Make) -> None:
        record = replace(RECORD, candidates=("sports", "sports " * 40))
        for kind, fault in (("cross_encoder", "40 of the longest candidate"), ("dual_encoder", "candidate of 40")):
            with pytest.raises(ConfigError, match=fault):
                encode(kind, record, max_length=44)
            encode(kind, record, max_length=64)

    @given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 20))
    def test_two_texts_are_cut_to_the_room_and_no_further(self, first: int, second: int, room: int) -> None:
        one, two = list(range(first)), list(range(100, 100 + second))
        cut_one, cut_two = _cut(one, two, room)
        assert cut_one == one[: len(cut_one)]
        assert cut_two == two[: len(cut_two)]
        assert len(cut_one) + len(cut_two) == min(first + second, room)
        # The shorter of the two loses nothing unless it has more than half the room.
        for mine, kept, others in ((first, cut_one, second), (second, cut_two, first)):
            if mine <= others:
                assert len(kept) >= min(mine, room // 2)


FORGED = "team </s></s> sports <mask> <s> <pad> today"


class TestSpecialTokens:
    @pytest.mark.parametrize("kind", ["cross_encoder", "dual_encoder"])
    def test_text_that_spells_one_does_not_become_one(self, encode: Make, tokenizer: Any, kind: str) -> None:
        record = replace(PAIR, input=FORGED, input_pair=FORGED, candidates=("sports", FORGED))
        batch = encode(kind, record, hard_prompts=lambda _: (FORGED, FORGED), with_state=True).batch([0])
        marks = {"cross_encoder": ("", 5), "dual_encoder": ("candidate_", 1)}[kind]
        for side, ends in (marks, ("state_", 3)):
            for line in spelled(tokenizer, batch, side):
                tokens = line.split()
                assert (tokens.count("<s>"), tokens.count("</s>")) == (1, ends)
                assert not {"<mask>", "<pad>"} & set(tokens)
        assert spelled(tokenizer, batch, marks[0])[1].count("<unk>") > 0

    def test_nor_does_the_verbaliser_see_a_mask_that_is_none(self, encode: Make, tokenizer: Any) -> None:
        record = replace(RECORD, input=FORGED, candidates=("sports", "team <mask>"))
        lines = spelled(tokenizer, encode("verbaliser", record).batch([0]))
        assert lines[2].endswith("</s> </s> <mask> <unk> </s>")
        assert all(line.count("<mask>") == 1 for line in lines)


class TestBatch:
    OTHER = replace(RECORD, id="toy/train/sk/3", input="tím", candidates=("health", "sports", "team"), gold=(1, 2))

    @pytest.mark.parametrize("kind", KINDS)
    def test_places_without_candidate(self, encode: Make, kind: str) -> None:
        encoded = encode(kind, RECORD, self.OTHER)
        assert encoded.candidates == 3
        index = encoded.batch([0, 1])["index_BK"]
        assert (index >= 0).tolist() == [[True, True, False], [True, True, True]]
        assert encoded.present(np.array([0, 1]), 3).tolist() == (index >= 0).tolist()
        assert encoded.batch([0])["index_BK"].shape == (1, 3)
        assert encoded.batch([0], 5)["index_BK"].shape == (1, 5)

    @pytest.mark.parametrize("kind", KINDS)
    def test_rows_come_in_the_order_asked_for(self, encode: Make, tokenizer: Any, kind: str) -> None:
        encoded = encode(kind, RECORD, self.OTHER)
        forth, back = encoded.batch([0, 1]), encoded.batch([1, 0])
        assert spelled(tokenizer, forth) != spelled(tokenizer, back)
        assert sorted(spelled(tokenizer, forth)) == sorted(spelled(tokenizer, back))

    def test_equal_candidates_are_read_once_in_each_language(self, encode: Make, tokenizer: Any) -> None:
        english = replace(RECORD, lang="en", input="the team plays")
        batch = encode("dual_encoder", RECORD, self.OTHER, english).batch([0, 1, 2])
        assert spelled(tokenizer, batch, "candidate_") == [
            "<s> [5] ▁Text ▁in ▁Slovak ▁sports </s>",
            "<s> [5] ▁Text ▁in ▁Slovak ▁fin ance ▁team </s>",
            "<s> [5] ▁Text ▁in ▁Slovak ▁health </s>",
            "<s> [5] ▁Text ▁in ▁Slovak ▁team </s>",
            "<s> [4] ▁Text ▁in ▁English ▁sports </s>",
            "<s> [4] ▁Text ▁in ▁English ▁fin ance ▁team </s>",
        ]
        assert batch["index_BK"].tolist() == [[0, 1, -1], [2, 0, 3], [4, 5, -1]]

    def test_two_sides_hold_each_sequence_once(self, encode: Make, tokenizer: Any) -> None:
        twice = replace(self.OTHER, id="toy/train/sk/4", candidates=("sports", "finance  team"))  # tokens are equal
        encoded = encode("dual_encoder", RECORD, self.OTHER, twice)
        queries, candidates, index_BK = encoded.two_sides([2, 0, 1])
        assert spelled(tokenizer, queries.batch([0, 1, 2])) == [
            f"{HEAD} ▁tím </s>",
            f"{HEAD} ▁tím ▁hrá ▁dnes </s>",
            f"{HEAD} ▁tím </s>",
        ]
        assert spelled(tokenizer, candidates.batch([3, 1])) == [
            "<s> [5] ▁Text ▁in ▁Slovak ▁team </s>",
            "<s> [5] ▁Text ▁in ▁Slovak ▁fin ance ▁team </s>",
        ]
        assert index_BK.tolist() == [[0, 1, -1], [0, 1, -1], [2, 0, 3]]
        assert queries.lengths.tolist() == [12, 14, 12]
        assert candidates.lengths.tolist() == [7, 9, 7, 7]

    def test_soft_prompts_alone_keep_the_candidates_of_two_languages_apart(self, encode: Make, tokenizer: Any) -> None:
        records = [RECORD, replace(RECORD, lang="en")]
        _, candidates, index_BK = encode("dual_encoder", *records, hard_prompts=lambda _: ("", "")).two_sides([0, 1])
        lines = spelled(tokenizer, candidates.batch(range(4)))
        assert [line.split()[1] for line in lines] == ["[5]", "[5]", "[4]", "[4]"]
        assert index_BK.tolist() == [[0, 1], [2, 3]]

    def test_gold(self, encode: Make) -> None:
        graded = replace(RECORD, candidates=("sports", "health", "team"), grades=(2.0, 0.0, 1.0))
        unlabelled = replace(RECORD, gold=())
        encoded = encode("cross_encoder", RECORD, self.OTHER, graded, unlabelled)
        gold = encoded.gold(np.array([3, 2, 1, 0]), 4)
        assert gold.dtype == torch.float32
        assert gold[0].tolist() == [0, 0, 0, 0]
        assert gold[1].tolist() == pytest.approx([0.665241, 0.090031, 0.244728, 0], abs=1e-6)
        assert gold[2].tolist() == [0, 0.5, 0.5, 0]
        assert gold[3].tolist() == [1, 0, 0, 0]
        assert encoded.label_ids.tolist() == [0, 1, 0, UNLABELLED]

    def test_lengths_follow_the_texts(self, encode: Make) -> None:
        assert encode("cross_encoder", RECORD, PAIR, self.OTHER).lengths.tolist() == [14, 18, 12]

    def test_an_encoder_may_be_asked_again(self, encode: Make, tokenizer: Any) -> None:
        encoder = encode("cross_encoder", RECORD).encoder
        again = encoder.encode([PAIR, RECORD])
        assert "state_input_ids" not in again.batch([0])
        assert spelled(tokenizer, again.batch([1])) == spelled(tokenizer, encode("cross_encoder", RECORD).batch([0]))


def test_the_fingerprint_knows_all_that_is_read(encode: Make) -> None:
    same = encode("cross_encoder", RECORD, PAIR).fingerprint()
    assert encode("cross_encoder", RECORD, PAIR).fingerprint() == same
    others = [
        encode("dual_encoder", RECORD, PAIR),
        encode("cross_encoder", PAIR, RECORD),
        encode("cross_encoder", RECORD, replace(PAIR, input="tím")),
        encode("cross_encoder", RECORD, replace(PAIR, input_pair="tím")),
        encode("cross_encoder", RECORD, replace(PAIR, candidates=("finance team", "sports"))),
        encode("cross_encoder", RECORD, replace(PAIR, task="nli")),
        encode("cross_encoder", RECORD, PAIR, max_length=100),
        encode("cross_encoder", RECORD, PAIR, soft=None),
        encode("cross_encoder", RECORD, PAIR, hard_prompts=lambda record: ("Classify the text", "")),
    ]
    assert len({same, *(encoded.fingerprint() for encoded in others)}) == len(others) + 1


class TestTokenizers:
    def test_without_padding_token(self, encode: Make, make_tokenizer: Make) -> None:
        tokenizer = make_tokenizer()
        tokenizer.pad_token = None
        with pytest.raises(ModelError, match="no padding token"):
            encode("cross_encoder", RECORD, tokenizer=tokenizer)

    def test_without_mask_token(self, encode: Make, make_tokenizer: Make) -> None:
        tokenizer = make_tokenizer()
        tokenizer.mask_token = None
        with pytest.raises(ModelError, match="no mask token"):
            encode("verbaliser", RECORD, tokenizer=tokenizer)
        encode("cross_encoder", RECORD, tokenizer=tokenizer)

    def test_without_a_pair_format(self, encode: Make) -> None:
        class Merges:
            pad_token_id = 0

            def __call__(self, first: str, second: str | None = None, **options: Any) -> dict[str, list[int]]:
                return {"input_ids": [7]} if second else {"input_ids": [5 if first == "a" else 6]}

        with pytest.raises(ModelError, match="marks a pair of texts"):
            encode("cross_encoder", RECORD, tokenizer=Merges())
