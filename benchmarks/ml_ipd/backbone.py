"""Pretrain a small multilingual backbone, "XLM-R in small", for the benchmark of cross-lingual distillation.

    pip install -c constraints.txt '.[demo]' scikit-learn
    python benchmarks/ml_ipd/backbone.py --data DATA --output FOLDER --minutes 40

The benchmark asks what a distillation method makes of a multilingual encoder, so the encoder must already
know that a sentence and its translation mean the same. XLM-R does, but fits neither the memory nor the
hours of a small processor. This script trains a stand-in from nothing: XLM-R's architecture, tokenizer
layout and special tokens, with 3 layers, 192 wide, 20,000 pieces and 21 languages. Each step adds up

masked LM      15 % of the pieces, of single sentences and of sentence pairs (translation language modelling)
distillation   all-MiniLM-L6-v2 embeds the English side; the student's mean-pooled vector of any language,
               through one linear layer that is thrown away, must match that embedding (Reimers & Gurevych,
               2020) and pick it out among those of other sentences (InfoNCE)
alignment      InfoNCE between the mean-pooled vectors themselves of two languages' versions of a sentence,
               because it is those that the benchmark compares

Parallel text is the training part of SIB-200 and Multi30k and the validation part of XNLI and PAWS-X, on
which the benchmark measures nothing. No test row is read; SIB-200's validation part is for measuring only.
Slovak is left out of the mean that is watched while training, as the benchmark may not tune on it.

The learning rate follows the clock, not a number of steps, so two runs of one seed differ in the last
digits. The folder holds the XLMRobertaForMaskedLM, its tokenizer and backbone.json: what it was trained
on and how good it is. It is written anew every eighth minute.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

from limbeck.demo.setting import minilm_folder

SIB = {
    "en": "eng_Latn", "bg": "bul_Cyrl", "sk": "slk_Latn", "cs": "ces_Latn", "pl": "pol_Latn", "ru": "rus_Cyrl",
    "de": "deu_Latn", "nl": "nld_Latn", "fr": "fra_Latn", "es": "spa_Latn", "it": "ita_Latn", "pt": "por_Latn",
    "hi": "hin_Deva", "ur": "urd_Arab", "zh": "zho_Hans", "sw": "swh_Latn", "th": "tha_Thai", "ha": "hau_Latn",
    "ig": "ibo_Latn", "sn": "sna_Latn", "so": "som_Latn",
}  # fmt: skip
MASAKHA = {"eng": "en", "fra": "fr", "swa": "sw", "hau": "ha", "ibo": "ig", "sna": "sn", "som": "so"}
TWEETS = {
    "english": "en", "french": "fr", "german": "de", "hindi": "hi", "italian": "it", "portuguese": "pt",
    "spanish": "es",
}  # fmt: skip
UNWATCHED = "sk"
WATCHED = ("en", "bg", "pl", "de", "zh", "sw", "ha")
SOURCE_WEIGHTS = {"sib200": 0.5, "xnli": 0.25, "paws_x": 0.1, "multi30k": 0.15}
ONLY_IN_SIB = {"sk", "pl", "nl", "it", "pt", "ha", "ig", "sn", "so"}
PIECES, LENGTH, CHARACTERS = 20_000, 64, 2_000_000
BOS, PAD, EOS = 0, 1, 2
WIKI_ROWS, WARM_UP, PEAK_RATE, TEMPERATURE, NEGATIVES = 4_000, 0.04, 1e-3, 0.05, 2_048
CONCEPTS, MLM_ROWS, POOL = 32, 24, 16
LOSSES = ("lm", "distil", "cosine", "align")

Row = TypeVar("Row")
Concept = dict[str, str]
"""One sentence in several languages, English among them."""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of `path`.jsonl or `path`.jsonl.gz."""
    packed = path.with_name(path.name + ".jsonl.gz")
    file = packed if packed.exists() else path.with_name(path.name + ".jsonl")
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def joined(table: dict[Any, Concept]) -> list[Concept]:
    """Return the sentences that have English and another language, each English text once."""
    by_english = {concept["en"]: concept for concept in table.values() if len(concept) > 1 and concept.get("en")}
    return list(by_english.values())


def sib200(data: Path, split: str) -> tuple[list[Concept], list[str]]:
    """Return the sentences of `split` and their topics."""
    codes = {code: lang for lang, code in SIB.items()}
    table: dict[int, Concept] = defaultdict(dict)
    topics = {}
    for row in rows(data / "sib200" / split):
        if row["lang"] in codes:
            table[row["index_id"]][codes[row["lang"]]] = row["text"]
            topics[row["index_id"]] = row["label"]
    return [table[i] for i in sorted(table)], [topics[i] for i in sorted(table)]


def parallel_text(data: Path) -> dict[str, list[Concept]]:
    """Return the sentences of each source of parallel text."""
    sources = {"sib200": sib200(data, "train")[0]}
    for name, fields in (("xnli", ("premise", "hypothesis")), ("paws_x", ("sentence1", "sentence2"))):
        table: dict[Any, Concept] = defaultdict(dict)
        for row in rows(data / name / "validation"):
            if row["lang"] in SIB:
                for field in fields:
                    if text := row[field].strip():
                        table[row["pair"], field][row["lang"]] = text
        sources[name] = joined(table)
    sources["multi30k"] = [{k: v for k, v in row.items() if k in SIB} for row in rows(data / "multi30k" / "train")]
    return sources


def plain_text(data: Path, sources: dict[str, list[Concept]], rng: random.Random) -> dict[str, list[str]]:
    """Return each language's different texts for the masked LM, parallel text included."""
    texts: dict[str, dict[str, None]] = {lang: {} for lang in SIB}
    for concept in (concept for concepts in sources.values() for concept in concepts):
        for lang, text in concept.items():
            texts[lang][text] = None
    for row in rows(data / "masakhanews" / "train"):
        if row["lang"] in MASAKHA:
            texts[MASAKHA[row["lang"]]].update({row["headline"]: None, row["text"][:200]: None})
    for row in rows(data / "umsab_tweets" / "train"):
        if row["lang"] in TWEETS:
            texts[TWEETS[row["lang"]]][row["text"]] = None
    wiki: dict[str, list[str]] = defaultdict(list)
    for split in ("train", "validation"):
        for row in rows(data / "wikiann_panx" / split):
            words = [word for word in row["tokens"] if word.strip("'")]
            if row["lang"] in SIB and len(words) > 4:
                wiki[row["lang"]].append(("" if row["lang"] == "zh" else " ").join(words))
    for lang, found in wiki.items():
        texts[lang].update(dict.fromkeys(rng.sample(found, min(WIKI_ROWS, len(found)))))
    return {lang: list(found) for lang, found in texts.items()}


def train_tokenizer(texts: dict[str, list[str]], rng: random.Random) -> PreTrainedTokenizerFast:
    """Train XLM-R's kind of tokenizer on a part of the texts in which no language is far larger than another."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    sizes = {lang: sum(map(len, found)) for lang, found in texts.items()}
    share = {lang: math.sqrt(size) / sum(map(math.sqrt, sizes.values())) for lang, size in sizes.items()}
    sample = []
    for lang, found in texts.items():
        wanted = CHARACTERS * share[lang]
        for text in rng.sample(found, len(found)):
            if wanted <= 0:
                break
            sample.append(text)
            wanted -= len(text)
    tokenizer.train_from_iterator(
        sample,
        trainers.UnigramTrainer(
            vocab_size=PIECES - 1,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            max_piece_length=16,
            shrinking_factor=0.6,
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=190, bos_token="<s>", cls_token="<s>", eos_token="</s>",
        sep_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    """Return each text's ids, cut at LENGTH."""
    return tokenizer(texts, truncation=True, max_length=LENGTH, return_attention_mask=False)["input_ids"]


def padded(batch: list[list[int]]) -> Tensor:
    width = max(map(len, batch))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in batch])


def pooled(model: XLMRobertaForMaskedLM, ids: Tensor) -> Tensor:
    """Return the mean of the last hidden states over all that is not padding."""
    mask = ids.ne(PAD)
    hidden = model.roberta(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    return (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)


def masked_lm_loss(model: XLMRobertaForMaskedLM, ids: Tensor, random_numbers: torch.Generator) -> Tensor:
    """Return the loss at 15 % of the pieces: 80 % masked, 10 % another piece, 10 % as they are."""
    chance = torch.rand(ids.shape, generator=random_numbers)
    chosen = (chance < 0.15) & (ids > EOS)
    if not chosen.any():
        chosen[0, 1] = True
    others = torch.randint(4, PIECES - 1, ids.shape, generator=random_numbers)
    seen = torch.where(chosen & (chance < 0.12), torch.full_like(ids, PIECES - 1), ids)
    seen = torch.where(chosen & (chance >= 0.135), others, seen)
    hidden = model.roberta(input_ids=seen, attention_mask=ids.ne(PAD).long()).last_hidden_state
    return F.cross_entropy(model.lm_head(hidden[chosen]), ids[chosen])


def contrast(left: Tensor, right: Tensor, left_ids: Tensor, right_ids: Tensor) -> Tensor:
    """Return InfoNCE of unit vectors; `right` starts with the matches of `left`, other equal ids count as nothing."""
    scores = left @ right.T / TEMPERATURE
    same = left_ids[:, None] == right_ids[None, :]
    same.fill_diagonal_(False)
    return F.cross_entropy(scores.masked_fill(same, -1e4), torch.arange(len(left)))


@torch.inference_mode()
def teacher_vectors(sentences: list[str]) -> Tensor:
    """Return the unit embeddings that all-MiniLM-L6-v2 gives to English sentences."""
    folder = minilm_folder()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    result = torch.empty(len(sentences), model.config.hidden_size)
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    for start in range(0, len(order), 32):
        part = order[start : start + 32]
        batch = tokenizer(
            [sentences[i] for i in part], padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        mask = batch["attention_mask"].unsqueeze(-1)
        result[part] = F.normalize((model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1), dim=-1)
    return result


def forever(
    draw: Callable[[], Row], size: int, rng: random.Random, length: Callable[[Row], int]
) -> Iterator[list[Row]]:
    """Yield batches of `size` rows of alike length, out of pools of `POOL` batches."""
    while True:
        pool = sorted((draw() for _ in range(size * POOL)), key=length)
        batches = [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(batches)
        yield from batches


@torch.inference_mode()
def vectors(model: XLMRobertaForMaskedLM, ids: list[list[int]]) -> Tensor:
    """Return the unit mean-pooled vectors of rows of ids."""
    return torch.cat([F.normalize(pooled(model, padded(ids[i : i + 33])), dim=-1) for i in range(0, len(ids), 33)])


@torch.inference_mode()
def quality(
    model: XLMRobertaForMaskedLM, tokenizer: PreTrainedTokenizerFast, data: Path, langs: tuple[str, ...] = tuple(SIB)
) -> dict[str, dict[str, float]]:
    """Return the figures of `langs`, English first, on SIB-200's validation part, and their means."""
    model.eval()
    train, train_topics = sib200(data, "train")
    concepts, topics = sib200(data, "validation")
    english_train = vectors(model, encode(tokenizer, [concept["en"] for concept in train])).numpy()
    classifier = LogisticRegression(C=10.0, max_iter=1000).fit(english_train, train_topics)
    table: dict[str, dict[str, float]] = {}
    english = None
    for lang in langs:
        ids = encode(tokenizer, [concept[lang] for concept in concepts])
        found = vectors(model, ids)
        english = found if english is None else english
        hits = (english @ found.T).argmax(1) == torch.arange(len(found))
        batches = [padded(ids[i : i + 33]) for i in range(0, len(ids), 33)]
        generator = torch.Generator().manual_seed(0)
        table[lang] = {
            "retrieval": hits.float().mean().item(),
            "topic": float(classifier.score(found.numpy(), topics)),
            "mlm_loss": float(np.mean([masked_lm_loss(model, batch, generator).item() for batch in batches])),
            "pieces_per_sentence": float(np.mean([len(row) for row in ids])),
        }
    others = [lang for lang in langs if lang not in ("en", UNWATCHED)]
    table["mean"] = {key: float(np.mean([table[lang][key] for lang in others])) for key in table["en"]}
    model.train()
    return table


def print_table(table: dict[str, dict[str, float]]) -> None:
    print("| language | retrieval en->xx | topic, trained on en | masked LM loss | pieces a sentence |")
    print("|---|--:|--:|--:|--:|")
    for lang, row in table.items():
        print(
            f"| {lang} | {row['retrieval']:.3f} | {row['topic']:.3f} | {row['mlm_loss']:.2f} "
            f"| {row['pieces_per_sentence']:.1f} |",
            flush=True,
        )


def save(
    model: XLMRobertaForMaskedLM, tokenizer: PreTrainedTokenizerFast, report: dict[str, Any], folder: Path
) -> None:
    """Write the folder file by file under another name first, so that a reader never meets half a file."""
    part = folder.with_name(folder.name + ".part")
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    # Trained without dropout, for speed in a short run; XLM-R's own figure is meant for fine-tuning.
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (part / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (part / "backbone.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(part.iterdir()):
        os.replace(file, folder / file.name)
    part.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--minutes", type=float, default=40.0, help="of training; getting ready takes a few more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": str(args.threads)}
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng, generator = random.Random(args.seed), torch.Generator().manual_seed(args.seed)
    begin = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {text}", flush=True)

    sources = parallel_text(args.data)
    texts = plain_text(args.data, sources, rng)
    say("sentences: " + ", ".join(f"{name} {len(found):,}" for name, found in sources.items()))
    say("texts: " + ", ".join(f"{lang} {len(found):,}" for lang, found in texts.items()))
    tokenizer = train_tokenizer(texts, rng)
    say(f"tokenizer of {len(tokenizer):,} pieces")
    text_ids = {lang: encode(tokenizer, found) for lang, found in texts.items()}
    ids_of = {lang: dict(zip(found, text_ids[lang], strict=True)) for lang, found in texts.items()}
    concepts = [concept for found in sources.values() for concept in found]
    numbers = iter(range(len(concepts)))
    numbers_of = {name: [next(numbers) for _ in found] for name, found in sources.items()}
    ids = [{lang: ids_of[lang][text] for lang, text in concept.items()} for concept in concepts]
    tokens = {lang: sum(map(len, found)) for lang, found in text_ids.items()}
    say("thousand pieces: " + ", ".join(f"{lang} {count // 1000}" for lang, count in tokens.items()))
    targets = teacher_vectors([concept["en"] for concept in concepts])
    say(f"{len(targets):,} English sentences embedded")

    config = XLMRobertaConfig(
        vocab_size=PIECES, hidden_size=192, num_hidden_layers=3, num_attention_heads=3, intermediate_size=768,
        max_position_embeddings=194, type_vocab_size=1, bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, tie_word_embeddings=True,
    )  # fmt: skip
    model = XLMRobertaForMaskedLM(config).train()
    head = nn.Linear(config.hidden_size, targets.shape[1])
    parameters = [*model.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=PEAK_RATE, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip

    source_names, source_weights = list(SOURCE_WEIGHTS), list(SOURCE_WEIGHTS.values())
    lang_weights = [math.sqrt(tokens[lang]) for lang in SIB]
    views: Counter[str] = Counter()
    mlm_views: Counter[str] = Counter()

    def two_views() -> tuple[int, list[int], list[int]]:
        number = rng.choice(numbers_of[rng.choices(source_names, source_weights)[0]])
        langs = [lang for lang in ids[number] if lang != "en"]
        right = rng.choices(langs, [2 if lang in ONLY_IN_SIB else 1 for lang in langs])[0]
        left = "en" if rng.random() < 0.6 or len(langs) == 1 else rng.choice([lang for lang in langs if lang != right])
        views.update((left, right))
        return number, ids[number][left], ids[number][right]

    def mlm_row() -> list[int]:
        if rng.random() < 0.25:
            _, left, right = two_views()
            return [*left, EOS, *right[1:]] if rng.random() < 0.5 else [*right, EOS, *left[1:]]
        lang = rng.choices(list(SIB), lang_weights)[0]
        mlm_views[lang] += 1
        return rng.choice(text_ids[lang])

    pairs = forever(two_views, CONCEPTS, rng, lambda pair: max(len(pair[1]), len(pair[2])))
    mlm = forever(mlm_row, MLM_ROWS, rng, len)
    budget, start = args.minutes * 60, time.perf_counter()
    step, seen, said, saved, recent, curve = 0, 0, start, start, [], []

    def report(**more: Any) -> dict[str, Any]:
        return {
            "rows": {lang: len(found) for lang, found in texts.items()}, "pieces": tokens,
            "parallel_sentences": {name: len(found) for name, found in sources.items()},
            "parallel_views_seen": dict(views), "masked_lm_rows_seen": dict(mlm_views), "seed": args.seed,
            "steps": step, "pieces_seen": seen, "training_seconds": round(time.perf_counter() - start, 1),
            "losses": curve[-1] if curve else {}, "curve": curve, **more,
        }  # fmt: skip

    while (elapsed := time.perf_counter() - start) < budget:
        done = elapsed / budget
        rate = PEAK_RATE * min(1.0, done / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = next(pairs)
        number = torch.tensor([pair[0] for pair in batch])
        both = padded([pair[1] for pair in batch] + [pair[2] for pair in batch])
        raw = pooled(model, both)
        guess, twice = F.normalize(head(raw), dim=-1), number.repeat(2)
        # The teacher's vectors cost nothing any more, so there may be far more negatives than rows in the batch.
        bank = torch.cat([twice, torch.randint(len(targets), (NEGATIVES,), generator=generator)])
        cosine = 1 - (guess * targets[twice]).sum(-1).mean()
        distil = contrast(guess, targets[bank], twice, bank)
        left, right = F.normalize(raw, dim=-1).chunk(2)
        align = (contrast(left, right, number, number) + contrast(right, left, number, number)) / 2
        masked = padded(next(mlm))
        lm = masked_lm_loss(model, masked, generator)
        optimiser.zero_grad()
        (lm + distil + cosine + align).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        seen += int(both.ne(PAD).sum() + masked.ne(PAD).sum())
        recent.append([lm.item(), distil.item(), cosine.item(), align.item()])
        now = time.perf_counter()
        if now - said >= 20:
            means = dict(zip(LOSSES, np.mean(recent, axis=0).round(3).tolist(), strict=True))
            curve.append({"step": step, "seconds": round(now - start), **means})
            losses = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
            left_over = (budget - now + start) / 60
            say(f"step {step}  {losses}  {seen / (now - start):,.0f} pieces/s  {left_over:.1f} min left")
            said, recent = now, []
        if now - saved >= min(480, budget / 2):
            table = quality(model, tokenizer, args.data, WATCHED)
            say(f"saved; means: {table['mean']}")
            save(model, tokenizer, report(quality=table), args.output)
            saved = time.perf_counter()
    save(model, tokenizer, report(), args.output)
    table = quality(model, tokenizer, args.data)
    save(model, tokenizer, report(quality=table), args.output)
    say(f"{step} steps, {seen:,} pieces")
    print_table(table)


if __name__ == "__main__":
    main()
