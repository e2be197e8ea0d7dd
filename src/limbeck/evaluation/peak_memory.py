"""The peak memory of labelling one batch: ``python -m limbeck.evaluation.peak_memory FOLDER ROWS TOKENS``."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Load the model of a folder, label one batch of random tokens, and print the peak as JSON."""
    import torch

    from limbeck.models.load import head_in, load_classifier
    from limbeck.numerics.memory import peak_memory_bytes

    folder, rows, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_classifier(folder, head=head_in(folder)).to(device).eval()
    ids = torch.randint(model.config.vocab_size, (rows, tokens), device=device)
    with torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    print(json.dumps({"peak_memory_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main()
