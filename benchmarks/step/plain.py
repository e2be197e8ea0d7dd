"""Arms without a library: a plain PyTorch loop, and matrix products alone."""

from __future__ import annotations

import time
from itertools import count

import numpy as np
import torch
from clock import Clock, options
from torch.nn.functional import kl_div
from work import BATCH, CLIP, LEARNING_RATE, LENGTH, build_models, build_rows, rows_of_step

GEMM_SIZE, GEMM_SECONDS = 4096, 1.0


def loop(vocabulary: int, *, tied: bool) -> None:
    """Distil with forward KL the way it is usually written down."""
    teacher, student = build_models(vocabulary, tied=tied)
    rows = build_rows(vocabulary, BATCH, LENGTH)
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    student.train()
    clock = Clock()
    for step in count():
        ids_BT = torch.from_numpy(np.stack([rows[row] for row in rows_of_step(step, BATCH)])).long()
        mask_BT = torch.ones_like(ids_BT)
        with torch.no_grad():
            teacher_BTV = teacher(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits[:, :-1]
        student_BTV = student(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits[:, :-1]
        loss = kl_div(
            student_BTV.log_softmax(dim=-1).flatten(0, 1),
            teacher_BTV.log_softmax(dim=-1).flatten(0, 1),
            reduction="batchmean",
            log_target=True,
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        clock.end_step(loss.item())


def gemm() -> None:
    """Multiply large float32 matrices, and say how many operations a second that makes."""
    a, b = torch.randn(2, GEMM_SIZE, GEMM_SIZE)
    product = a @ b
    clock = Clock()
    while True:
        start, times = time.process_time(), 0
        while time.process_time() - start < GEMM_SECONDS:
            torch.mm(a, b, out=product)
            times += 1
        clock.end_step(flops_per_second=times * 2 * GEMM_SIZE**3 / (time.process_time() - start))


if __name__ == "__main__":
    chosen = options()
    if chosen.arm == "gemm":
        gemm()
    else:
        loop(chosen.vocabulary, tied=chosen.tied)
