"""Train a small teacher and a smaller student from nothing, to compare ways of distilling the one into the other.

    python benchmarks/generation/models.py --data DATA --output MODELS --teacher-steps 450 --student-steps 1200

Both have Llama's shape and one byte-level BPE tokenizer. They read novels (Project Gutenberg), then the teacher
also reads instructions with their answers (Alpaca, Dolly, GPTeacher). Rows for the comparison are written too. A model
that is there already is not trained again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WIDTH_OF_TEXT = 192
VOCABULARY = 4096
SHAPES = {
    "teacher": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 5, "num_attention_heads": 4},
    "student": {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--teacher-steps", type=int, default=450)
    parser.add_argument("--student-steps", type=int, default=1200)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    instructions = instruction_rows(args.data)
    novels = [row["text"] for row in read(args.data / "gutenberg_books" / "train.jsonl.gz")]
    tokenizer = train_tokenizer([*novels, *(row["prompt"] + "\n" + row["output"] for row in instructions)])
    learnt, compared = instructions[:-2600], instructions[-2600:]
    for name, rows in (("train", compared[:2000]), ("test", compared[2000:2300])):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (args.output / f"{name}.jsonl").write_text(text, encoding="utf-8")
    rng = random.Random(0)
    answers = [f"{row['prompt']}\n\n{row['output']}" for row in learnt]
    for name, steps in (("student", args.student_steps), ("teacher", args.teacher_steps)):
        texts = novels if name == "student" else [*novels, *answers, *answers]
        rng.shuffle(texts)
        if (args.output / name / "tokenizer.json").exists():
            print(f"{name}: there already", flush=True)
            continue
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                max_position_embeddings=512,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
                tie_word_embeddings=True,
                **SHAPES[name],
            )
        )
        train(model, packed(tokenizer, texts), steps)
        model.save_pretrained(args.output / name)
        tokenizer.save_pretrained(args.output / name)
        print(f"{name}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode("utf-8").split("\n") if line]


def instruction_rows(data: Path) -> list[dict[str, str]]:
    """Short instructions of all sets, the input below the instruction, in one fixed order."""
    files = ("alpaca/train.jsonl.gz", "dolly/validation.jsonl", "gpteacher/train_roleplay.jsonl.gz",
             "gpteacher/train_codegen.jsonl.gz")  # fmt: skip
    rows = {}
    for file in files:
        for row in read(data / file):
            prompt = "\n".join(part.strip() for part in (row["instruction"], row["input"]) if part.strip())
            if len(prompt) < 300 and 10 < len(row["output"].strip()) < 400:
                rows[prompt] = {"prompt": prompt, "output": row["output"].strip(), "set": file.split("/")[0]}
    return [rows[prompt] for prompt in random.Random(0).sample(sorted(rows), len(rows))]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def packed(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """Blocks of tokens, texts one after another with an end token between them."""
    ids = [token for row in tokenizer(texts)["input_ids"] for token in (*row, tokenizer.eos_token_id)]
    return np.asarray(ids[: len(ids) // WIDTH_OF_TEXT * WIDTH_OF_TEXT]).reshape(-1, WIDTH_OF_TEXT)


def train(model: LlamaForCausalLM, blocks: np.ndarray, steps: int) -> None:
    """Plain language modelling; the learning rate rises for 50 steps and then falls linearly."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min((s + 1) / 50, max(0.02, 1 - s / steps)))
    rng, started, recent = np.random.default_rng(0), time.process_time(), 0.0
    for step in range(1, steps + 1):
        ids = torch.from_numpy(blocks[rng.integers(len(blocks), size=16)])
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        rate.step()
        recent = loss.item() if step == 1 else 0.95 * recent + 0.05 * loss.item()
        if step % 50 == 0:
            print(f"step {step} of {steps}, loss {recent:.3f}, {time.process_time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
