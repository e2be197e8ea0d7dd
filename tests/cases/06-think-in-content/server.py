"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """A server without a parser of thoughts: they come before the answer, and name another label first."""
    return 200, reply(f"<think>At first glance this reads like {another(body)}.\nBut no.\n</think>\n\n{truth(body)}")


serve(answer)
