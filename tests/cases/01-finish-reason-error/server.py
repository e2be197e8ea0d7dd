"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """The provider behind the gateway broke off: half an answer, under HTTP 200."""
    made = reply("Not risk but", "error")
    made["choices"][0]["error"] = {"code": 502, "message": "Upstream connection lost"}
    return 200, made


serve(answer)
