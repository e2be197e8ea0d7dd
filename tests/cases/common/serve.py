"""A loopback server that speaks chat completions: serve(answer) starts it on port 8765 and waits."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from words import WORDS


def serve(answer, port=8765):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, value = answer(body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def reply(text, finish_reason="stop", log_probs=None, **message):
    choice = {"index": 0, "finish_reason": finish_reason, "logprobs": log_probs}
    choice["message"] = {"role": "assistant", "content": text, **message}
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "teacher-1",
        "choices": [choice],
        "usage": usage,
    }


def first_token(pairs):
    """Log-probabilities of one token, the first pair's, and its alternatives."""
    top = [{"token": token, "logprob": number, "bytes": None} for token, number in pairs]
    return {"content": [{**top[0], "top_logprobs": top}]}


def asked(body):
    return body["messages"][-1]["content"]


def truth(body):
    text = asked(body).rsplit("Article:", 1)[-1]
    return next((label for label, words in WORDS.items() if sum(word in text for word in words) >= 2), "safe")


def another(body):
    return {"risk": "safe", "safe": "caution", "caution": "risk"}[truth(body)]


def letters(body):
    """The letter of the right label, and those of the two others."""
    right = re.search(rf"\b([A-Z])[.):] *'?{truth(body)}\b", asked(body)).group(1)
    return right, [letter for letter in "ABC" if letter != right]
