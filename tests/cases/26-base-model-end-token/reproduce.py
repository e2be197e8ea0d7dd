"""A base model as student: its chat template closes turns with a token that its own settings do not end at."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
import make_writers as tiny
import torch
import transformers as hf

import limbeck

for name, count, seed in (("train", 120, 1), ("test", 16, 2)):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tiny.rows(count, seed)))
torch.manual_seed(0)
tokenizer = tiny.tokenizer()
same = {
    "vocab_size": len(tokenizer),
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
teacher = hf.Qwen2ForCausalLM(hf.Qwen2Config(hidden_size=48, intermediate_size=96, **same))
tiny.trained(teacher, tokenizer, "teacher", steps=200, ends=[tokenizer.convert_tokens_to_ids("<|im_end|>"), 0])
tiny.trained(
    hf.Qwen2ForCausalLM(hf.Qwen2Config(hidden_size=32, intermediate_size=64, **same)),
    tokenizer,
    "student",
    steps=5,
    ends=0,
)
limbeck.distill(
    task={"kind": "generation", "prompt": "prompt", "completion": "answer"},
    data={"train": "train.jsonl", "test": "test.jsonl"},
    teacher={"model": "teacher"},
    student={"model": "student"},
    recipe={"name": "kd"},
    training={"max_steps": 120, "batch_size": 16, "learning_rate": 5e-3, "max_length": 64},
    answers={"rows": 4, "max_new_tokens": 12},
    baselines=[],
    output="run",
)
student, tokenizer = (
    hf.AutoModelForCausalLM.from_pretrained("run/student"),
    hf.AutoTokenizer.from_pretrained("run/student"),
)
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "Say blue twice"}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
written = student.generate(**prompt, max_new_tokens=30, do_sample=False)[0][prompt["input_ids"].shape[1] :]
print(student.generation_config.eos_token_id, repr(tokenizer.decode(written)))
