"""A teacher without label names whose order is not the alphabet's, for two of four labels."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
import make_tiny
import torch
from transformers import BertConfig, BertForSequenceClassification

import limbeck

make_tiny.WORDS["zeal"] = ["glory", "ardour", "passion", "eager", "vigour", "keen", "devoted"]
LABELS = ("risk", "caution", "safe", "zeal")
ORDER = ["caution", "safe", "risk", "zeal"]  # of the teacher's logits; sorted: caution, risk, safe, zeal
train, test = make_tiny.rows(160, 1, LABELS), make_tiny.rows(80, 2, LABELS)
for name, rows in (("train", train), ("test", test)):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
torch.manual_seed(0)
tokenizer = make_tiny.encoder_tokenizer()
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        num_labels=4,
        initializer_range=0.2,  # from the default 0.02 a model this narrow may stay on a plateau of half the labels
    )
)
seen = tokenizer([row["text"] for row in train], padding=True, return_tensors="pt")
gold = torch.tensor([ORDER.index(row["label"]) for row in train])
optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
for _ in range(120):
    some = torch.randint(0, len(train), (32,))
    logits = model(input_ids=seen.input_ids[some], attention_mask=seen.attention_mask[some]).logits
    torch.nn.functional.cross_entropy(logits, gold[some]).backward()
    optimiser.step()
    optimiser.zero_grad()
model.save_pretrained("teacher")
tokenizer.save_pretrained("teacher")
run = limbeck.distill(
    data={"train": "train.jsonl", "test": "test.jsonl"},
    teacher={"model": "teacher"},
    student={"from_teacher": {"layers": "uniform", "keep": 1}},
    recipe={"name": "kd", "label_weight": 0},
    training={"max_steps": 40, "batch_size": 16, "learning_rate": 5e-3},
    baselines=[],
    output="run",
)
print(run.verdict, run.warnings)
