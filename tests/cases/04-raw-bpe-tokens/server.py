"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """A server that does not decode tokens: the blank of the likeliest one is spelt out as in the vocabulary."""
    right, (second, third) = letters(body)
    pairs = [("\u0120" + right, -0.01), (second, -6.5), (right, -7.0), (third, -7.5), ("the", -9.0)]
    return 200, reply(" " + right, "length", first_token(pairs))


serve(answer)
