"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """A model that reasons: the first token opens its thoughts, and "A" is the article at exp(-13)."""
    pairs = [("<think>", -0.0001), ("Okay", -10.0), ("The", -12.0), ("A", -13.0), ("Let", -14.0)]
    return 200, reply(None, "length", first_token(pairs), reasoning_content="<think>")


serve(answer)
