"""Needs 22-label-order's way of making a teacher; here its configuration says multi_label_classification."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
import make_tiny
import torch
from transformers import BertConfig, BertForSequenceClassification, pipeline

import limbeck

ORDER = ["caution", "risk", "safe"]
train, test = make_tiny.rows(120, 1), make_tiny.rows(60, 2)
Path("train.jsonl").write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in train))
Path("test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test))
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
        problem_type="multi_label_classification",
        id2label=dict(enumerate(ORDER)),
        label2id={label: i for i, label in enumerate(ORDER)},
    )
)
seen = tokenizer([row["text"] for row in train], padding=True, return_tensors="pt")
gold = torch.tensor([[float(row["label"] == label) for label in ORDER] for row in train])
optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
for _ in range(120):
    some = torch.randint(0, len(train), (32,))
    logits = model(input_ids=seen.input_ids[some], attention_mask=seen.attention_mask[some]).logits
    torch.nn.functional.binary_cross_entropy_with_logits(logits, gold[some]).backward()
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
print(json.loads(Path("run/student/config.json").read_text()).get("problem_type"))
print(pipeline("text-classification", model="run/student", top_k=None)([test[0]["text"]]))  # compare: limbeck predict
