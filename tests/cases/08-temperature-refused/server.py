"""python server.py, then limbeck distill run.yaml in another shell."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
from serve import another, first_token, letters, reply, serve, truth  # noqa: F401


def answer(body):
    """Models that reason take no temperature but 1, and need room to think."""
    if body.get("temperature", 1) != 1:
        message = f"Unsupported value: 'temperature' does not support {body['temperature']} with this model."
        return 400, {"error": {"message": message, "type": "invalid_request_error", "code": "unsupported_value"}}
    if body["max_completion_tokens"] < 200:
        return 200, reply("", "length")
    return 200, reply(truth(body))


serve(answer)
