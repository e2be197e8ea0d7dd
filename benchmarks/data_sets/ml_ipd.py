"""The data sets of ml_ipd/."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator

from data_sets.base import DataSet, Read, Row, lines, tab_separated

SEED = 20240607
"""Of samples, with the name of what is sampled after it."""


SIB_LANGUAGES = [
    "eng_Latn",
    "bul_Cyrl",
    "slk_Latn",
    "ces_Latn",
    "pol_Latn",
    "slv_Latn",
    "hrv_Latn",
    "srp_Cyrl",
    "mkd_Cyrl",
    "rus_Cyrl",
    "ukr_Cyrl",
    "bel_Cyrl",
    "deu_Latn",
    "nld_Latn",
    "dan_Latn",
    "swe_Latn",
    "nob_Latn",
    "isl_Latn",
    "fra_Latn",
    "spa_Latn",
    "por_Latn",
    "ita_Latn",
    "ron_Latn",
    "cat_Latn",
    "ell_Grek",
    "tur_Latn",
    "hun_Latn",
    "fin_Latn",
    "est_Latn",
    "lvs_Latn",
    "lit_Latn",
    "arb_Arab",
    "heb_Hebr",
    "pes_Arab",
    "hin_Deva",
    "ben_Beng",
    "tam_Taml",
    "urd_Arab",
    "tha_Thai",
    "vie_Latn",
    "ind_Latn",
    "zho_Hans",
    "jpn_Jpan",
    "kor_Hang",
    "kat_Geor",
    "hye_Armn",
    "kaz_Cyrl",
    "swh_Latn",
    "hau_Latn",
    "ibo_Latn",
    "yor_Latn",
    "amh_Ethi",
    "sna_Latn",
    "som_Latn",
    "zul_Latn",
    "eus_Latn",
]
SIB_WITHOUT_TEST = {"slk_Latn", "ron_Latn", "fin_Latn", "tam_Taml", "kaz_Cyrl", "hau_Latn"}
"""Their test files were not to be had where the benchmark was made."""


def sib200(read: Read, split: str) -> Iterator[Row]:
    file = {"validation": "dev"}.get(split, split)
    for lang in SIB_LANGUAGES:
        if split == "test" and lang in SIB_WITHOUT_TEST:
            continue
        answers = {}
        if split == "test":
            said = tab_separated(read(f"llm-results/output_gpt4/{lang}.tsv"))
            answers = {row["index_id"]: row["gpt-4"] for row in said}
        for row in tab_separated(read(f"data/annotated/{lang}/{file}.tsv")):
            key = row["index_id"]
            found = {"lang": lang, "index_id": int(key), "label": row["category"], "text": row["text"].strip()}
            yield found | ({"gpt4_answer": answers.get(key)} if split == "test" else {})


def masakhanews(read: Read, split: str) -> Iterator[Row]:
    """The whole training files of six languages were not to be had; theirs is the sample of 50 a topic."""
    few = {"amh", "eng", "fra", "hau", "swa", "tir"} if split == "train" else set()
    file = {"validation": "dev"}.get(split, split)
    for lang in [
        "amh",
        "eng",
        "fra",
        "hau",
        "ibo",
        "lin",
        "lug",
        "orm",
        "pcm",
        "run",
        "sna",
        "som",
        "swa",
        "tir",
        "xho",
    ]:
        folder = "few_shot_data/50_samples" if lang in few else "data"
        for row in tab_separated(read(f"{folder}/{lang}/{file}.tsv")):
            text, headline = row["text"].strip(), row["headline"].strip()
            cut = {"text": text[:1200], "truncated": len(text) > 1200}
            yield {"lang": lang, "label": row["category"], "headline": headline, **cut}


def xnli(read: Read, split: str) -> Iterator[Row]:
    numbers = {"entailment": 0, "neutral": 1, "contradiction": 2}
    for lang in ["ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]:
        for pair, line in enumerate(lines(read(f"data/xnli/dev-{lang}.tsv"))):
            premise, hypothesis, label = line.split("\t")
            row = {"lang": lang, "pair": pair, "premise": premise, "hypothesis": hypothesis}
            yield row | {"label": numbers[label], "label_name": label}


def paws_x(read: Read, split: str) -> Iterator[Row]:
    for lang in ["de", "en", "es", "fr", "ja", "ko", "zh"]:
        for pair, line in enumerate(lines(read(f"data/pawsx/dev-{lang}.tsv"))):
            first, second, label = line.split("\t")
            row = {"lang": lang, "pair": pair, "sentence1": first, "sentence2": second}
            yield row | {"label": int(label), "label_name": ("different", "paraphrase")[int(label)]}


def wikiann(read: Read, split: str) -> Iterator[Row]:
    """Of the training part, a sample of 2,000 sentences in each language."""
    file = {"validation": "dev"}.get(split, split)
    for lang in ["bg", "de", "en", "es", "pl", "ru", "sw", "tr", "uk", "zh"]:
        content = read(f"data/panx/{file}-{lang}.tsv").decode("utf-8").strip("\n")
        blocks = [[word.split("\t") for word in block.split("\n")] for block in re.split(r"\n\n+", content)]
        rows = [{"lang": lang, "tokens": [w[0] for w in block], "tags": [w[1] for w in block]} for block in blocks]
        yield from sample(rows, 2000, lang) if split == "train" else rows


def multi30k(read: Read, split: str) -> Iterator[Row]:
    columns = {
        lang: lines(gzip.decompress(read(f"data/task1/raw/train.{lang}.gz"))) for lang in ("en", "de", "fr", "cs")
    }
    rows = [
        dict(zip(columns, (text.strip() for text in texts), strict=True))
        for texts in zip(*columns.values(), strict=True)
    ]
    yield from sample(rows, 8000, "m30k")


def umsab_tweets(read: Read, split: str) -> Iterator[Row]:
    for lang in ["arabic", "english", "french", "german", "hindi", "italian", "portuguese", "spanish"]:
        texts = lines(read(f"data/sentiment/{lang}/{split}_text.txt"))
        labels = lines(read(f"data/sentiment/{lang}/{split}_labels.txt"))
        for text, label in zip(texts, map(int, labels), strict=True):
            names = ("negative", "neutral", "positive")
            yield {"lang": lang, "text": text.strip(), "label": label, "label_name": names[label]}


def sample(rows: list[Row], size: int, name: str) -> list[Row]:
    """Return `size` of the rows in their order, or all where there are fewer; the same for the same name."""
    chosen = random.Random(f"{SEED}{name}").sample(range(len(rows)), min(size, len(rows)))
    return [rows[place] for place in sorted(chosen)]


SETS = {
    "sib200": DataSet(
        repository="dadelani/sib-200",
        commit="593cea88519930f776c1a4a1980b6a35b39dca57",
        licence="Apache-2.0; sentences of FLORES-200: CC BY-SA 4.0",
        rows=sib200,
        files={
            "train.jsonl.gz": "463c9f622bf2528a684f91c8b903897bc129c8200805793a8ce9527b4f5b6a64",
            "validation.jsonl.gz": "e7beaaf309f3d8f6d9d67b7a3b54415b6b30b575fd0ff810a23c5112a1560b0f",
            "test.jsonl.gz": "8165bdf9f068c5eeff1a3b86eebf172e283c133f0af9fbff4916e733f55db041",
        },
        wanted_by=("ml_ipd",),
    ),
    "masakhanews": DataSet(
        repository="masakhane-io/masakhane-news",
        commit="819be052e79e0a600e0ed4a7356594681cb5c4f3",
        licence="AFL-3.0",
        rows=masakhanews,
        files={
            "train.jsonl.gz": "e7b6285fce84dbeac058d89ca87fed37e2125f0e357b57cb8fe25ec5046d113d",
            "validation.jsonl.gz": "b4060b5423054e41e73ae383e3458dd0edf1ce72d447e9d106836ad8b9be0bac",
            "test.jsonl.gz": "84bcd60e3b4744c159336290f17a2b7158cbc2553f5ea39c3c61f4202e71c8ec",
        },
        wanted_by=("ml_ipd",),
    ),
    "xnli": DataSet(
        repository="GautamGupta17/MESH",
        commit="68f82e29e71a4e425069ff398a61387c24c0f30d",
        licence="CC BY-NC 4.0",
        rows=xnli,
        files={
            "validation.jsonl.gz": "51b921abf29231250e9edd63606dd90909f9acf720053cbd5ffd7745637e926e",
        },
        wanted_by=("ml_ipd",),
    ),
    "paws_x": DataSet(
        repository="GautamGupta17/MESH",
        commit="68f82e29e71a4e425069ff398a61387c24c0f30d",
        licence="free for any purpose, acknowledge Google",
        rows=paws_x,
        files={
            "validation.jsonl.gz": "504afa179068a18ea48dea3dba850bc7296877f23b217e53b07104d75c3c3369",
        },
        wanted_by=("ml_ipd",),
    ),
    "wikiann_panx": DataSet(
        repository="GautamGupta17/MESH",
        commit="68f82e29e71a4e425069ff398a61387c24c0f30d",
        licence="unstated; Wikipedia: CC BY-SA",
        rows=wikiann,
        files={
            "train.jsonl.gz": "c850bc34fe7c487f9fc9269ecccda957084687caf0c9c15065312a491f625e90",
            "validation.jsonl.gz": "473ad8f9b6b999deb873bc255dda06e7053c5e9a723d87a2154432a9038d8c1f",
        },
        wanted_by=("ml_ipd",),
    ),
    "multi30k": DataSet(
        repository="multi30k/dataset",
        commit="a3d2e0d26b56f3846f66a952536ffed4e401d05a",
        licence="unstated",
        rows=multi30k,
        files={
            "train.jsonl.gz": "977e9521268f8406586d22b11225126eda0b434c18bfd9fc98fcb7ec2911701e",
        },
        wanted_by=("ml_ipd",),
    ),
    "umsab_tweets": DataSet(
        repository="cardiffnlp/xlm-t",
        commit="874214d64d96599eb869a033c22ec2cc57d19256",
        licence="open by its authors; each source set and Twitter may restrict",
        rows=umsab_tweets,
        files={
            "train.jsonl.gz": "572b43b1ac60af34c4be0a58c3d8511499eafc26ca77e37b211f30e747916015",
        },
        wanted_by=("ml_ipd",),
    ),
}
