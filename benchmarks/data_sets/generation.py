"""The data sets of generation/."""

from __future__ import annotations

import json
from collections.abc import Iterator

from data_sets.base import DataSet, Read, Row, lines


def gpteacher(read: Read, split: str) -> Iterator[Row]:
    paths = {
        "train_roleplay": "Roleplay/roleplay-simple-deduped-roleplay-instruct.json",
        "train_codegen": "Codegen/codegen-instruct.json",
    }
    for row in json.loads(read(paths[split])):
        yield {"instruction": row["instruction"], "input": row["input"], "output": row["response"]}


def alpaca(read: Read, split: str) -> Iterator[Row]:
    yield from json.loads(read("data/alpaca_5000.json"))


def dolly(read: Read, split: str) -> Iterator[Row]:
    for line in lines(read("llm-data/dolly/dev.jsonl")):
        row = json.loads(line)
        yield {name: row[name] for name in ("instruction", "input", "output")}


def gutenberg(read: Read, split: str) -> Iterator[Row]:
    """Twenty lines, which are sentences, to a row."""
    for book in (
        "austen-emma", "austen-persuasion", "austen-sense", "bryant-stories", "chesterton-ball",
        "chesterton-brown", "edgeworth-parents", "melville-moby_dick", "burgess-busterbrown",
    ):  # fmt: skip
        text = [line.strip() for line in lines(read(f"data/gutenberg/{book}.txt"))]
        text = [line for line in text if line]
        for start in range(0, len(text), 20):
            yield {"book": book, "part": start // 20, "text": "\n".join(text[start : start + 20])}


SETS = {
    "gpteacher": DataSet(
        repository="teknium1/GPTeacher",
        commit="481075123c29854bddb82655badeef6a438f2436",
        licence="MIT",
        rows=gpteacher,
        files={
            "train_roleplay.jsonl.gz": "7d7aa44b24502142b8af2ca046118dec6d5e61f79d42979643f5386770a7c54f",
            "train_codegen.jsonl.gz": "488518410e68a08ca3320ba29bc31cbf256146d1f176c3fb5352b725dce22043",
        },
        wanted_by=("generation",),
    ),
    "alpaca": DataSet(
        repository="tatsu-lab/stanford_alpaca",
        commit="5e69c50054c48cd3b919c46d13bb2d92a62f4498",
        licence="CC BY-NC 4.0",
        rows=alpaca,
        files={
            "train.jsonl.gz": "fefc43ebcbc2b0f3b6a32596103a6f74501ebcfd465d66d9f05127ecdb63f093",
        },
        wanted_by=("generation",),
    ),
    "dolly": DataSet(
        repository="sonho4ng/SRAv2",
        commit="d7c7263c15d7d9db67eb956ed113381755c6a3c1",
        licence="CC BY-SA 3.0",
        rows=dolly,
        files={
            "validation.jsonl": "219034c2b446b6df124ad06ef7c7058fa09da99d6d8befeb16e9bd3e3e7c4346",
        },
        wanted_by=("generation",),
    ),
    "gutenberg_books": DataSet(
        repository="juletx/corpus-linguistics",
        commit="40911b40bb70ea1403dda57156204689b7eaf98c",
        licence="public domain",
        rows=gutenberg,
        files={
            "train.jsonl.gz": "583b39f938a888920853921298d9d39748d0aa9feb7aef07987d4028cd0094fe",
        },
        wanted_by=("generation",),
    ),
}
