"""Rewrite public data sets of many languages as folders that cross-lingual runs read.

    python benchmarks/ml_ipd/public_sets.py masakhanews DATA/masakhanews OUTPUT
    python benchmarks/ml_ipd/public_sets.py xglue DATA/xglue OUTPUT

OUTPUT then has a folder for each task of the set, with train.jsonl, dev.jsonl and test.jsonl as far as the set has
them, and the lines for `data.sets` of a run file are printed.

set          what FOLDER holds
masakhanews  rows {lang, label, headline, text}, a file a split (data.py)
paws_x       rows {lang, pair, sentence1, sentence2, label_name}, likewise
masakhaner2  rows {lang, tokens, tags} with IOB tags, likewise; wikiann_panx the same
tagged_words rows {lang, tokens, tags} with universal tags, likewise
flores       dev/*.dev and devtest/*.devtest, a sentence a line, as the archive unpacks
xglue        NC, PAWSX, XNLI, QADSM, WPR, QAM, NER and POS, as the archive unpacks

SIB-200 and XNLI need no rewriting: {layout: rows, task: topic, key: index_id, ...} and {layout: rows, task: nli,
text: premise, text_pair: hypothesis, label: label_name, key: pair, ...} read what data.py writes.

References: Adelani et al. 2023, arXiv:2304.09972 (MasakhaNEWS); Yang et al. 2019, arXiv:1908.11828 (PAWS-X); Adelani
et al. 2022, arXiv:2210.12391 (MasakhaNER 2.0); Pan et al. 2017 (WikiAnn); Goyal et al. 2022, arXiv:2106.03193
(FLORES); Liang et al. 2020, arXiv:2004.01401 (XGLUE).
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from words import Sentence, entity_rows, word_rows
from xglue import NOT_TRANSLATED, news_text, xglue
from xglue_files import TABLES, WORDS, YES_NO

Row = dict[str, Any]
Read = Callable[[Path, str], Iterator[Row]]
"""Gives the rows of a split; none where the set has no such split."""
SPLITS = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}
MASAKHANEWS_TOPICS = ["business", "entertainment", "health", "politics", "religion", "sports", "technology"]


def json_lines(folder: Path, split: str) -> Iterator[Row]:
    for stem in SPLITS[split]:
        for name, opened in ((f"{stem}.jsonl", open), (f"{stem}.jsonl.gz", gzip.open)):
            if (folder / name).exists():
                with opened(folder / name, "rt", encoding="utf-8") as lines:
                    yield from map(json.loads, lines)


def masakhanews(folder: Path, split: str) -> Iterator[Row]:
    for row in json_lines(folder, split):
        yield {"lang": row["lang"], "text": news_text(row["headline"], row["text"]), "label": row["label"]}


def paws_x(folder: Path, split: str) -> Iterator[Row]:
    """Annotators of some languages disagree: translations of a row may have different labels."""
    said = {"paraphrase": "yes", "different": "no"}
    for row in json_lines(folder, split):
        texts = {"text": row["sentence1"], "text_pair": row["sentence2"]}
        if NOT_TRANSLATED not in texts.values():
            yield {"key": row["pair"], "lang": row["lang"], **texts, "label": said[row["label_name"]]}


def flores(folder: Path, split: str) -> Iterator[Row]:
    """One sentence a line, the same line in every language. dev is for training, devtest for evaluation only."""
    part = {"train": "train", "dev": "dev", "test": "devtest"}[split]
    for file in sorted((folder / part).glob(f"*.{part}")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            yield {"key": f"{part}/{number}", "lang": file.stem, "text": line}


def tagged(rows_of: Callable[[Sentence], Iterator[Row]], folder: Path, split: str) -> Iterator[Row]:
    for number, row in enumerate(json_lines(folder, split), 1):
        for one in rows_of(Sentence(str(number), row["tokens"], row["tags"])):
            yield {"lang": row["lang"], **one}


def entities(*types: str) -> Read:
    return partial(tagged, partial(entity_rows, entities=types))


def xglue_options(task: str) -> dict[str, Any]:
    if task in LISTED:
        return LISTED[task]
    pair = {} if task == "topic" else {"text_pair": "text_pair"}
    key = {"key": "key"} if task in ("nli", "paraphrase") else {}
    return {"layout": "rows", "labels": TABLES[task].answers, **pair, **key}


LISTED: dict[str, dict[str, Any]] = {
    "ner": {"layout": "candidates", "slots": ["span"]},
    "pos": {"layout": "candidates", "slots": ["word", "occurrence"]},
    "web_pages": {"layout": "candidates"},
}
SETS: dict[str, dict[str, tuple[dict[str, Any], Read]]] = {
    "flores": {"translation": ({"layout": "rows_translation", "key": "key"}, flores)},
    "masakhaner2": {"ner": (LISTED["ner"], entities("PER", "ORG", "LOC", "DATE"))},
    "masakhanews": {"topic": ({"layout": "rows", "labels": MASAKHANEWS_TOPICS}, masakhanews)},
    "paws_x": {
        "paraphrase": ({"layout": "rows", "text_pair": "text_pair", "labels": YES_NO, "key": "key"}, paws_x),
    },
    "tagged_words": {"pos": (LISTED["pos"], partial(tagged, word_rows))},
    "wikiann_panx": {"ner": (LISTED["ner"], entities("PER", "ORG", "LOC"))},
    "xglue": {task: (xglue_options(task), partial(xglue, task)) for task in [*TABLES, *WORDS]},
}
"""For each task of a set what a run file says of its folder, and what gives its rows."""


def rewrite(name: str, folder: Path, output: Path, tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Write the folders of a set's tasks and return what a run file says of each."""
    said = []
    for task, (options, read) in SETS[name].items():
        if task not in (tasks or [task]):
            continue
        for split in SPLITS:
            if rows := list(read(folder, split)):
                (output / task).mkdir(parents=True, exist_ok=True)
                lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                (output / task / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        of_task = {} if options["layout"] == "rows_translation" else {"task": task}
        said.append({"folder": str(output / task), "source": name, **of_task, **options})
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tasks", nargs="+", help="some of a set's tasks; default: all")
    options = parser.parse_args()
    for one in rewrite(options.set, options.folder, options.output, options.tasks):
        print("-", json.dumps(one, ensure_ascii=False))  # JSON is YAML


if __name__ == "__main__":
    main()
