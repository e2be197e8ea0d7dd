"""Encoders that count positions after the padding id, with a tokenizer that names no limit."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
import transformers as hf
from make_tiny import encoder_tokenizer, rows

import limbeck

for name, some in (("train", rows(40, 1)), ("test", rows(20, 2))):
    long = [{**row, "text": " ".join([row["text"]] * 60)} for row in some]
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in long))
tokenizer = encoder_tokenizer()
tokenizer.model_max_length = int(1e30)
shape = {
    "vocab_size": len(tokenizer),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
}
for kind in ("IBert", "Luke", "XLMRoberta"):
    more = {"entity_vocab_size": 10, "entity_emb_size": 8} if kind == "Luke" else {}
    getattr(hf, f"{kind}Model")(getattr(hf, f"{kind}Config")(**shape, **more)).save_pretrained(f"teacher-{kind}")
    tokenizer.save_pretrained(f"teacher-{kind}")
    try:
        limbeck.distill(
            data={"train": "train.jsonl", "test": "test.jsonl"},
            teacher={"model": f"teacher-{kind}", "fine_tune": {"max_steps": 2, "batch_size": 8}},
            student={"from_teacher": {"layers": "uniform", "keep": 1}},
            recipe={"name": "kd", "label_weight": 0},
            training={"max_steps": 2, "batch_size": 16},
            baselines=[],
            output=f"run-{kind}",
        )
    except Exception as error:
        print(kind, type(error).__module__, type(error).__name__, error)
