"""A causal classifier, trained row by row (no padding), then used by limbeck in batches."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
import numpy as np
import torch
from make_tiny import byte_tokenizer, rows
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

import limbeck

ORDER = ["caution", "risk", "safe"]
train, test = rows(90, 1), rows(30, 2)
for i, row in enumerate(train + test):
    row["text"] = " ".join(row["text"].split()[: 4 + i % 6])
for name, some in (("train", train), ("test", test)):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=byte_tokenizer(["<end>", "<pad>"], [row["text"] for row in rows(300, 9)]),
    eos_token="<end>",
    bos_token="<end>",
    pad_token="<pad>",
    model_max_length=128,
)
torch.manual_seed(0)
model = LlamaForSequenceClassification(
    LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
        num_labels=3,
        id2label=dict(enumerate(ORDER)),
        label2id={label: i for i, label in enumerate(ORDER)},
    )
)


def logits_of(row):
    return model(input_ids=torch.tensor([tokenizer(row["text"])["input_ids"]])).logits


optimiser, rng = torch.optim.AdamW(model.parameters(), 5e-3), np.random.default_rng(0)
for _ in range(60):
    for i in rng.integers(0, len(train), 16):
        gold = torch.tensor([ORDER.index(train[i]["label"])])
        (torch.nn.functional.cross_entropy(logits_of(train[i]), gold) / 16).backward()
    optimiser.step()
    optimiser.zero_grad()
model.save_pretrained("teacher")
tokenizer.save_pretrained("teacher")
limbeck.distill(
    data={"train": "train.jsonl", "test": "test.jsonl"},
    teacher={"model": "teacher"},
    student={"from_teacher": {"layers": "uniform", "keep": 1}},
    recipe={"name": "kd", "label_weight": 0},
    training={"max_steps": 8, "batch_size": 16},
    baselines=[],
    output="run",
)
one_by_one = np.concatenate([logits_of(row).detach().numpy() for row in test])
print(
    "largest difference to rows read one by one:",
    np.abs(one_by_one - np.load("run/predictions/teacher-seed0.npy")).max(),
)
