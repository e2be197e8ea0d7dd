"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """A gateway that says 200 and puts the provider's error into the body."""
    return 200, {"error": {"code": 402, "message": "Insufficient credits"}}


serve(answer)
