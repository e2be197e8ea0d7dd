"""Units, their pieces, windows, and spans that come back: in twelve scripts and with three kinds of tokenizers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.data.tagging.encode import (
    EncodedUnits,
    encode_units,
    lost_spans,
    spans_from_tags,
    tag_ids,
    units_of,
)
from limbeck.data.tagging.rows import TaggedRow
from limbeck.data.tagging.scheme import Scheme, Span, tag_names
from limbeck.errors import ModelError
from limbeck.models.padding import Padding
from limbeck.types import UNLABELLED

LABELS = ["LOC", "PER"]
SCRIPTS = [
    "latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "bengali", "tamil", "thai", "chinese", "japanese",
    "korean", "emoji", "invisible",
]  # fmt: skip


def row_of_words(*words: str, spans: tuple[Span, ...] = ()) -> TaggedRow:
    """Words joined by blanks; `spans` count words."""
    ranges, start = [], 0
    for word in words:
        ranges.append((start, start + len(word)))
        start += len(word) + 1
    entities = tuple(Span(ranges[s][0], ranges[e - 1][1], label) for s, e, label in spans)
    return TaggedRow(" ".join(words), tuple(ranges), entities)


def encode(rows: list[TaggedRow], tokenizer: Any, max_length: int = 512, *, left: bool = False) -> EncodedUnits:
    units = [units_of(row, tokenizer) for row in rows]
    return encode_units(rows, units, tokenizer, max_length, Padding(tokenizer.pad_token_id, left))


def there_and_back(rows: list[TaggedRow], tokenizer: Any, scheme: Scheme, max_length: int = 512) -> list[Any]:
    units = [units_of(row, tokenizer) for row in rows]
    encoded = encode_units(rows, units, tokenizer, max_length, Padding(0, False))
    ids = tag_ids([row.spans for row in rows], units, LABELS, scheme)
    return spans_from_tags(ids, encoded, units, tag_names(LABELS, scheme), scheme)


def covering(row: TaggedRow, tokenizer: Any) -> tuple[Span, ...]:
    """The smallest spans of whole pieces around each entity, found character by character.

    Of two entities in one piece the first has it.
    """
    piece_at = {c: piece for piece in units_of(row, tokenizer) for c in range(*piece)}
    found = []
    for start, end, label in row.spans or ():
        touched = [piece_at[c] for c in range(start, end) if c in piece_at]
        touched = [piece for piece in touched if not found or piece[0] >= found[-1].end]
        if touched:
            found.append(Span(touched[0][0], touched[-1][1], label))
    return tuple(found)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_spans_of_a_text_come_back_as_far_as_pieces_can_say_them(
    samples: dict[str, Any], script: str, tokenizer: Any, scheme: Scheme
) -> None:
    row = samples[script].row
    expected = covering(row, tokenizer)
    assert there_and_back([row], tokenizer, scheme) == [expected]
    assert lost_spans([row.spans], [units_of(row, tokenizer)]) == len(set(row.spans) - set(expected))


@pytest.mark.parametrize("script", SCRIPTS)
def test_pieces_hold_every_visible_character_once_and_in_order(
    samples: dict[str, Any], script: str, tokenizer: Any
) -> None:
    text = samples[script].text
    units = units_of(samples[script].row, tokenizer)
    assert all(start < end for start, end in units)
    assert all(before[1] <= after[0] for before, after in pairwise(units))
    assert all(not text[start].isspace() for start, _ in units)
    inside = {c for unit in units for c in range(*unit)}
    assert not any(text[c].isalnum() for c in set(range(len(text))) - inside)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_piece_is_read_at_its_own_first_token(samples: dict[str, Any], script: str, tokenizer: Any) -> None:
    row = samples[script].row
    offsets = tokenizer(row.text, return_offsets_mapping=True)["offset_mapping"]
    for (start, _), position in zip(units_of(row, tokenizer), encode([row], tokenizer).position_U, strict=True):
        begin, end = offsets[position]
        assert begin <= start < end
        assert row.text[begin:start].isspace() or begin == start
        assert not any(begin <= start < end for begin, end in offsets[:position] if begin == start)


WORDS = st.sampled_from(
    ["Zoë", "e\u0301cole", "Анна", "Σμύρνη", "القاهرة", "בירושלים", "महात्मा", "কলকাতায়", "பாரதியார்", "กรุงเทพ", "浙江",
     "カフェ", "광주에서", "🎉", "🇫🇷", "👩‍🚀", "U.S.", "3,5", "-", "'s", "New York"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_spans_of_words_come_back_exactly_in_windows_of_any_length(data: st.DataObject, tokenizer: Any) -> None:
    rows = []
    for _ in range(data.draw(st.integers(1, 3))):
        words = data.draw(st.lists(WORDS, min_size=1, max_size=25))
        cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
        pairs = list(pairwise(cuts))[::2]
        spans = tuple(Span(start, end, data.draw(st.sampled_from(LABELS))) for start, end in pairs)
        rows.append(row_of_words(*words, spans=spans))
    max_length = data.draw(st.sampled_from([12, 17, 512]))
    assert there_and_back(rows, tokenizer, "bioes", max_length) == [row.spans for row in rows]
    assert lost_spans([row.spans for row in rows], [units_of(row, tokenizer) for row in rows]) == 0


def test_words_that_the_tokenizer_drops_continue_what_is_before_them(tokenizer: Any) -> None:
    dropped = "\u200b" if tokenizer.unk_token == "[UNK]" else None
    if dropped is None:
        pytest.skip("this tokenizer keeps every character")
    row = row_of_words(dropped, "Zoë", dropped, "Müller", "flew", spans=(Span(1, 4, "PER"),))
    encoded = encode([row], tokenizer)
    assert (encoded.position_U < 0).tolist() == [True, False, True, False, False]
    assert there_and_back([row], tokenizer, "bio") == [row.spans]


def test_a_long_text_is_read_in_windows_and_each_word_once_with_most_context(tokenizer: Any) -> None:
    row = row_of_words(*["Zoë"] * 60)
    encoded = encode([row], tokenizer, max_length=20)
    whole = encode([row], tokenizer)
    assert len(whole.row_of_W) == 1
    assert len(encoded.row_of_W) > 3
    assert (encoded.windows.lengths <= 20).all()
    assert encoded.window_offsets[0] == 0
    assert encoded.window_offsets[-1] == encoded.units == 60
    for window in range(len(encoded.row_of_W)):
        batch = encoded.windows.batch([window])
        _, token_S, unit_S = encoded.places([window])
        assert (unit_S == np.arange(encoded.window_offsets[window], encoded.window_offsets[window + 1])).all()
        # The same token as where the whole text is read at once.
        ids = whole.windows.batch([0])["input_ids"][0, whole.position_U[unit_S]]
        assert (batch["input_ids"][0, token_S] == ids).all()
    inner = [encoded.position_U[a:b] for a, b in pairwise(encoded.window_offsets[1:-1])]
    assert all(own.min() >= 2 and own.max() <= 18 for own in inner), "no word is read at the edge of a window"


@pytest.mark.parametrize("left", [False, True])
def test_places_in_a_padded_batch(tokenizer: Any, left: bool) -> None:
    rows = [row_of_words("Zoë", "flew"), row_of_words("Zoë", "Müller", "flew", "from", "Paris")]
    encoded = encode(rows, tokenizer, left=left)
    batch = encoded.windows.batch([1, 0])
    row_S, token_S, unit_S = encoded.places([1, 0])
    assert row_S.tolist() == [0] * 5 + [1] * 2
    assert unit_S.tolist() == [2, 3, 4, 5, 6, 0, 1]
    assert batch["attention_mask"][row_S, token_S].all()
    words = ["Zoë", "Müller", "flew", "from", "Paris", "Zoë", "flew"]
    pieces = tokenizer.convert_ids_to_tokens(batch["input_ids"][row_S, token_S].tolist())
    for word, piece in zip(words, pieces, strict=True):
        assert tokenizer.tokenize(f" {word}")[0] in (piece, "▁") or tokenizer.tokenize(word)[0] == piece


def test_an_unlabelled_row_has_no_tags_and_a_row_of_none_has_o() -> None:
    units = [[(0, 3)], [(0, 3), (4, 6)]]
    assert tag_ids([None, ()], units, LABELS, "bio").tolist() == [UNLABELLED, 0, 0]


def test_of_two_entities_in_one_piece_the_first_has_it() -> None:
    spans = (Span(0, 2, "PER"), Span(2, 6, "LOC"))
    units = [[(0, 3), (3, 6)]]
    names = tag_names(LABELS, "bio")
    assert [names[i] for i in tag_ids([spans], units, LABELS, "bio")] == ["B-PER", "B-LOC"]
    assert lost_spans([spans], units) == 2


def test_an_entity_of_dropped_characters_is_lost() -> None:
    assert lost_spans([(Span(0, 1, "PER"),)], [[(2, 5)]]) == 1
    assert tag_ids([(Span(0, 1, "PER"),)], [[(2, 5)]], LABELS, "bio").tolist() == [0]


def test_another_tokenizer_is_asked_about_the_same_units(tokenizer: Any, characters: Any) -> None:
    row = TaggedRow("Zoë flew", None, (Span(0, 3, "PER"),))
    units = [units_of(row, characters)]
    assert units == [[(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (7, 8)]]
    encoded = encode_units([row], units, tokenizer, 16, Padding(0, False))
    offsets = tokenizer(row.text, return_offsets_mapping=True)["offset_mapping"]
    starts = {start + row.text[start].isspace() for start, end in offsets if start < end}
    assert [start in starts for start, _ in units[0]] == (encoded.position_U >= 0).tolist()


def test_slow_tokenizers_are_refused(tokenizer: Any) -> None:
    class Slow:
        is_fast = False
        name_or_path = "org/old"

    with pytest.raises(ModelError, match="tokenizer of org/old is a slow one"):
        encode_units([row_of_words("a")], [[(0, 1)]], Slow(), 16, Padding(0, False))
