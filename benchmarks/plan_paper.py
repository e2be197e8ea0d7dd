"""The memory that a published formula gives: table 3 of Saxena, Janzen and Maass, recomputed.

    python benchmarks/plan_paper.py

"Streamlining LLMs: Adaptive Knowledge Distillation for Tailored Language Models" counts, for P parameters that are
all trained in 16 bits, 2P bytes of weights, 2P of gradients, 4P of optimiser states and 4P of a float32 copy of the
gradients: 12P. In 4 bits with an adapter it counts P/2 for the weights and 2, 4 and 4 bytes for each of the P_t
trained parameters. There are no activations in it, and 4 bytes of optimiser states are two 16-bit moments, half of
what AdamW in 32 bits takes. So it is for comparing with the paper and not for buying hardware; `limbeck plan` traces a
run's own step. GB are 1e9 bytes.
"""

from __future__ import annotations

MODELS = {"LLaMA-2 7B": (7.0e9, 40.0e6), "OPT 1.3B": (1.3e9, 20.0e6), "GPT-2 124M": (124e6, 0.70e6)}
"""Nominal parameters, and the trained ones that the table's cells imply; the ranks that the paper names do not give
these."""
PARTS = ("weights", "gradients", "optimiser", "float32 copy")


def paper_bytes(parameters: float, trained: float | None = None) -> list[float]:
    """Return the bytes of `PARTS`: of P parameters in 16 bits, or in 4 bits with an adapter of `trained` ones."""
    weights, trained = (2 * parameters, parameters) if trained is None else (parameters / 2, trained)
    return [weights, 2 * trained, 4 * trained, 4 * trained]


def main() -> None:
    """Print the table: 16 bits all trained / 4 bits with an adapter, in GB, and how much less the latter is."""
    print("| model | " + " | ".join(PARTS) + " | in all | less |\n|" + " --- |" * (len(PARTS) + 3))
    for name, (parameters, trained) in MODELS.items():
        full, adapted = paper_bytes(parameters), paper_bytes(parameters, trained)
        pairs = zip([*full, sum(full)], [*adapted, sum(adapted)], strict=True)
        cells = [f"{whole / 1e9:.4g} / {part / 1e9:.2g}" for whole, part in pairs]
        print("| " + " | ".join([name, *cells, f"{100 * (1 - sum(adapted) / sum(full)):.2f} %"]) + " |")


if __name__ == "__main__":
    main()
