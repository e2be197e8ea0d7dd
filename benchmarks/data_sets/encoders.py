"""The data set of encoders/ that no other benchmark reads. Each copy's rows are kept as they are."""

from __future__ import annotations

from collections.abc import Iterator

from data_sets.base import DataSet, Read, Row, lines


def rte(read: Read, split: str) -> Iterator[Row]:
    """GLUE's training rows, which the copy has in two files, and its development rows; those of the test part are
    without labels."""
    names = ("entailment", "not_entailment")
    # The second file has no header.
    parts = [lines(read("data/RTE/train.tsv"))[1:], lines(read("data/RTE/val.tsv"))]
    found = lines(read("data/RTE/dev.tsv"))[1:] if split == "validation" else [line for part in parts for line in part]
    for line in sorted(found, key=lambda one: int(one.split("\t")[0])):
        index, premise, hypothesis, label = line.split("\t")
        yield {
            "idx": int(index),
            "premise": premise,
            "hypothesis": hypothesis,
            "label": names.index(label),
            "label_name": label,
        }


SETS = {
    "glue_rte": DataSet(
        repository="amrnag/Specialized-Transformers",
        commit="fa673a93a5c27cb1f5954ac2a8a49eec6fcba6b9",
        licence="unstated",
        rows=rte,
        files={
            "train.jsonl.gz": "5af293c1ac5e1c7cd9df4ff4f428d9dd224e5dbc2bcba2669807cef6a3b256a1",
            "validation.jsonl": "c2eb73fd8aa28452dc6d9e6fb733dc08c5cf1276624772c128842f02858b7496",
        },
        wanted_by=("encoders",),
    ),
}
