"""Tags to entities and back; expected values were counted by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.tagging.scheme import OUTSIDE, Scheme, Span, spans_of, split_tag, tag_names, tags_of

A, B = "A", "B"


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-A I-A O", [(0, 2, A)]),
        ("B-A B-A", [(0, 1, A), (1, 2, A)]),
        ("B-A I-A B-A I-A", [(0, 2, A), (2, 4, A)]),
        ("I-A I-A", [(0, 2, A)]),
        ("O I-A O I-B", [(1, 2, A), (3, 4, B)]),
        ("B-A I-B", [(0, 1, A), (1, 2, B)]),
        ("I-A B-A", [(0, 1, A), (1, 2, A)]),
    ],
)
def test_bio_as_conlleval_reads_it(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags.split(), "bio") == spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-A I-A E-A O S-B", [(0, 3, A), (4, 5, B)]),
        ("S-A S-A", [(0, 1, A), (1, 2, A)]),
        ("B-A E-A E-A", [(0, 2, A), (2, 3, A)]),
        ("S-A I-A", [(0, 1, A), (1, 2, A)]),
        ("B-A O E-A", [(0, 1, A), (2, 3, A)]),
        ("B-A E-B", [(0, 1, A), (1, 2, B)]),
        ("I-A E-A", [(0, 2, A)]),
        ("B-A B-A", [(0, 1, A), (1, 2, A)]),
    ],
)
def test_bioes_as_conlleval_reads_it(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags.split(), "bioes") == spans


@pytest.mark.parametrize("tags", ["I-A I-A O I-B", "A A O B"])
def test_io_with_and_without_prefix(tags: str) -> None:
    assert spans_of(tags.split(), "io") == [(0, 2, A), (3, 4, B)]


@pytest.mark.parametrize(
    ("tag", "scheme", "message"),
    [
        ("PER", "bio", "tag 'PER' is not in the scheme bio (O, B-LABEL, I-LABEL)"),
        ("S-PER", "bio", "tag 'S-PER' is not in the scheme bio (O, B-LABEL, I-LABEL); set task.scheme: bioes"),
        ("U-PER", "bioes", "that is BILOU: write S- for U- and E- for L-, and set task.scheme: bioes"),
        ("B-PER", "io", "set task.scheme: bio, or bioes"),
        ("B-", "bio", "tag 'B-' is not in the scheme bio"),
        ("B_PER", "bio", "tag 'B_PER' is not in"),
        ("", "io", "tag '' is not in the scheme io (O, I-LABEL)"),
        (3, "bio", "tag 3 is not in the scheme bio"),
        (None, "io", "tag None is not in the scheme io"),
    ],
)
def test_unknown_tags_are_refused(tag: object, scheme: Scheme, message: str) -> None:
    with pytest.raises(ValueError, match="is not in the scheme") as caught:
        split_tag(tag, scheme)
    assert message in str(caught.value)


def test_labels_may_hold_hyphens() -> None:
    assert split_tag("B-cell-type", "bio") == ("B", "cell-type")
    assert split_tag("cell-type", "io") == ("I", "cell-type")


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@given(data=st.data())
def test_spans_come_back(scheme: Scheme, data: st.DataObject) -> None:
    words = data.draw(st.integers(1, 12))
    cuts = sorted(data.draw(st.sets(st.integers(0, words))))
    spans = [Span(a, b, data.draw(st.sampled_from("AB"))) for a, b in pairwise(cuts) if data.draw(st.booleans())]
    tags = tags_of(spans, words, scheme)
    assert spans_of(tags, scheme) == spans
    assert set(tags) <= set(tag_names("AB", scheme))
    assert tags.count(OUTSIDE) == words - sum(end - start for start, end, _ in spans)


def test_neighbours_of_one_label_are_one_in_io() -> None:
    assert spans_of(tags_of([Span(0, 1, A), Span(1, 2, A)], 2, "io"), "io") == [(0, 2, A)]
