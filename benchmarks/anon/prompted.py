"""ANON with a local, prompted teacher: a default and a tuned prompt label crisis tweets of another collection.

    python benchmarks/anon/prompted.py HUMAID CRISISLEX         # makes the teacher, tunes, trains all arms
    python benchmarks/anon/tables.py --folder runs/prompted     # prints their tables as Markdown

The teacher is a causal model that was taught to follow labelling prompts on HumAID: all-MiniLM-L6-v2 with a causal
mask and its own word embeddings as output layer, trained on many wordings of one instruction. What it labels is
CrisisLexT26: other events, and tweets in other languages too. Arms: the prompt that limbeck takes by default, the one
that ``limbeck prompts tune`` finds on 250 labelled tweets if that is another one, and the student trained on gold
labels, for scale.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig, AutoTokenizer, BertLMHeadModel, get_cosine_schedule_with_warmup

from limbeck.cli.terminal import quiet_libraries
from limbeck.data.prompts.label_prompt import Demonstration, LabelPrompt, load_prompt
from limbeck.data.prompts.label_render import render_chat
from limbeck.demo.setting import minilm_folder

FOLDER = Path("runs/prompted")
LABELS = {
    "risk_and_warning": "risk and warning",
    "caution_and_advice": "caution and advice",
    "safe_and_harmless": "safe and harmless",
}
TEACHER_STEPS, TEACHER_BATCH = 400, 16
TRAIN_ROWS, DEV_ROWS = 2560, 250
SEEDS = [0, 1, 2]
TEMPLATE = (
    "[CLS]{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}[unused0] {{ message['content'] }}[SEP]"
    "{% else %}[unused1] {{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}[unused0] {% endif %}"
)
WORDINGS = [
    f"{verb} the {text} {into}: {{{{ labels }}}}."
    for verb in ("Sort", "Label", "Categorise", "Tag")
    for text in ("tweet", "message", "post")
    for into in ("as one of", "with one of these labels", "into one of these groups")
]
"""What the teacher is taught with. The default instruction, and those that tuning tries, are not among them."""
DEFAULT = LabelPrompt(max_body_tokens=60)
PARAPHRASES = [
    "Decide which of these categories the tweet belongs to: {{ labels }}.",
    "Which category describes the tweet best: {{ labels }}?",
    "A tweet about a crisis is one of {{ labels }}. Name its category.",
    "Label the tweet by the danger that it tells of: {{ labels }}.",
    "Assign one of these categories to the text: {{ labels }}.",
]


def rows_of(source: Path, *, lines: str) -> list[dict[str, Any]]:
    """Read the rows of one split that have one of the three classes."""
    path = source / lines
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [{"text": row["text"], "label": LABELS[row["risk3"]]} for row in rows if row["risk3"]]


def write_rows(source: Path) -> None:
    """Write CrisisLexT26's rows: for training without labels, for tuning, and for the test."""
    rng = random.Random(0)
    train = rng.sample(rows_of(source, lines="train.jsonl.gz"), TRAIN_ROWS)
    dev = rng.sample(rows_of(source, lines="validation.jsonl"), DEV_ROWS)
    unlabelled = [{"text": row["text"]} for row in train]
    files = {"train": unlabelled, "train-gold": train, "dev": dev, "test": rows_of(source, lines="test.jsonl")}
    for name, rows in files.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")


def teach_teacher(source: Path, folder: Path) -> None:
    """Train the teacher on HumAID's gold labels in prompts of many wordings, a third of them with demonstrations."""
    torch.manual_seed(0)
    rng = random.Random(0)
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    tokenizer.add_special_tokens({"additional_special_tokens": ["[unused0]", "[unused1]"], "eos_token": "[SEP]"})
    tokenizer.chat_template = TEMPLATE
    config = AutoConfig.from_pretrained(minilm_folder(), is_decoder=True)
    config.eos_token_id = tokenizer.eos_token_id
    model = BertLMHeadModel.from_pretrained(minilm_folder(), config=config)
    rows = rng.sample(rows_of(source, lines="train.jsonl.gz"), TEACHER_STEPS * TEACHER_BATCH)
    texts = sorted((_prompt_and_answer(rng, row, rows, tokenizer) for row in rows), key=lambda text: len(text[0]))
    batches = [texts[i : i + TEACHER_BATCH] for i in range(0, len(texts), TEACHER_BATCH)]
    rng.shuffle(batches)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimiser, TEACHER_STEPS // 10, TEACHER_STEPS)
    model.train()
    mean = 0.0
    for step, chosen in enumerate(batches):
        batch = tokenizer([a + b for a, b in chosen], add_special_tokens=False, padding=True, return_tensors="pt")
        answer = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
        for i, (prompt, whole) in enumerate((a, a + b) for a, b in chosen):
            before, after = (len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (prompt, whole))
            answer[i, before:after] = True
        states = model.bert(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        logits = model.cls(states[:, :-1][answer[:, 1:]])
        loss = torch.nn.functional.cross_entropy(logits, batch["input_ids"][answer])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        mean += loss.item()
        if step % 50 == 49:
            print(f"teacher: step {step + 1} of {TEACHER_STEPS}, loss {mean / 50:.3f}", flush=True)
            mean = 0.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _prompt_and_answer(
    rng: random.Random, row: dict[str, str], rows: list[dict[str, str]], tokenizer: Any
) -> tuple[str, str]:
    shown: list[Demonstration] = []
    if rng.random() < 1 / 3:
        drawn = rng.sample(rows, 2)
        shown = [Demonstration.model_validate(one) for one in drawn]
    prompt = LabelPrompt(
        instruction=rng.choice(WORDINGS),
        demonstrations=tuple(shown),
        format=rng.choice(["none", "label"]),
        input=rng.choice(["Input: {{ text }}", "Tweet: {{ text }}", "{{ text }}"]),
        max_body_tokens=60,
    )
    messages, _ = render_chat(prompt, list(LABELS.values()), {"text": row["text"]}, tokenizer=tokenizer)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text, row["label"] + tokenizer.eos_token


def tune_file() -> dict[str, Any]:
    """Return the prompt search: wordings, one demonstration of each label, its order."""
    return {
        "task": {"labels": list(LABELS.values())},
        "data": {"dev": str(FOLDER / "dev.jsonl")},
        "teacher": {"model": str(FOLDER / "teacher")},
        "prompt": DEFAULT.model_dump(exclude_defaults=True),
        "search": {
            "paraphrases": PARAPHRASES,
            "keywords": [{"categories": "labels"}, {"text": "tweet"}],
            "per_class": [1],
            "orders": 2,
            "configurations": 32,
        },
        "output": str(FOLDER / "tuning"),
    }


def run_file(arm: str) -> dict[str, Any]:
    """Return an arm's run; the settings are those of run.py."""
    gold = arm == "gold"
    tuned = {"file": str(FOLDER / "tuning" / "prompt.json")}
    prompt = tuned if arm == "tuned" else DEFAULT.model_dump(exclude_defaults=True)
    return {
        "task": {"labels": list(LABELS.values())},
        "data": {
            "train": str(FOLDER / f"train{'-gold' if gold else ''}.jsonl"),
            "test": str(FOLDER / "test.jsonl"),
        },
        "teacher": {"model": str(FOLDER / "teacher"), "prompt": prompt},
        "student": {"model": "runs/anon/start"},
        "recipe": {"name": "fine_tune"} if gold else {"name": "anon"},
        "training": {
            "max_steps": 2 * TRAIN_ROWS // 32,
            "batch_size": 32,
            "learning_rate": 5e-4,
            "schedule": "cosine",
            "weight_decay": 0.001,
            "max_grad_norm": 0.3,
            "dropout": 0.1,
            "max_length": 60,
            "checkpoints": 1,
        },
        "seeds": SEEDS,
        "baselines": [],
        "output": str(FOLDER / arm),
    }


def _limbeck(words: list[str], content: dict[str, Any], name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "limbeck", *words, str(path)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("humaid", type=Path, help="folder with train.jsonl.gz")
    parser.add_argument("crisislex", type=Path, help="folder with train.jsonl.gz, validation.jsonl and test.jsonl")
    options = parser.parse_args()
    quiet_libraries()
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_rows(options.crisislex)
    if not (FOLDER / "teacher").exists():
        teach_teacher(options.humaid, FOLDER / "teacher")
    _limbeck(["prompts", "tune"], tune_file(), "tune")
    kept = load_prompt(FOLDER / "tuning" / "prompt.json") == DEFAULT
    if kept:
        print("the search keeps the default prompt, so there is no arm of a tuned one", flush=True)
    for arm in ("default", "gold") if kept else ("default", "tuned", "gold"):
        _limbeck(["distill"], run_file(arm), arm)


if __name__ == "__main__":
    main()
