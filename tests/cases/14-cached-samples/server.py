"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """A gateway with a cache: the same request gets the same answer, whatever the temperature."""
    return 200, reply(["risk", "caution", "safe"][sum(map(ord, str(body))) % 3])


serve(answer)
