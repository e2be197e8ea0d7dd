"""Tiny models that write, and rows for them."""

import random

import torch
from make_tiny import byte_tokenizer
from transformers import PreTrainedTokenizerFast

NAMES = ["red", "blue", "green", "amber", "white", "black", "olive", "coral"]
CHAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def rows(count, seed):
    rng = random.Random(seed)
    return [
        {"prompt": f"Say {name} twice", "answer": f"{name} {name}"}
        for name in (rng.choice(NAMES) for _ in range(count))
    ]


def tokenizer(template=CHAT):
    texts = [row["prompt"] + " " + row["answer"] for row in rows(200, 0)]
    made = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], texts),
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=512,
    )
    if template:
        made.chat_template = template
    return made


def trained(model, tokenizer, folder, *, steps, ends):
    """Teach `model` the rows and write it to `folder`, with the end tokens of its generation configuration."""
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = ends, tokenizer.pad_token_id
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(steps):
        for row in rows(8, step):
            if tokenizer.chat_template:
                turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["answer"]}]
                ids = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
            else:
                ids = [*tokenizer(row["prompt"] + "\n\n" + row["answer"])["input_ids"], tokenizer.eos_token_id]
            ids = torch.tensor([ids])
            (model(input_ids=ids, labels=ids).loss / 8).backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
