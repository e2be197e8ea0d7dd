"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """Two token ids are decoded to the same letter ("A" and " A" with the blank stripped): it is there twice."""
    right, (second, third) = letters(body)
    pairs = [(right, -0.0002), (right, -8.4), (second, -9.5), (third, -10.0), ("the", -12.0)]
    return 200, reply(right, "length", first_token(pairs))


serve(answer)
