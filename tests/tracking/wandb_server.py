"""Servers as W&B meets them: one that speaks its language as far as a run needs, and those that do not answer."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """Begins runs, takes everything that is sent, and stops answering when told to (`/hang`).

    Args:
        steps: The last step of every run that it knows already; None where it knows none.
    """

    daemon_threads = True

    def __init__(self, steps: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.steps, self.silent, self.over = steps, threading.Event(), threading.Event()
        self.streamed: list[dict[str, Any]] = []
        """History rows, in the order in which they came."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that has gone."""

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL query."""
        project = {"id": "cA==", "name": "p", "entity": {"id": "ZQ==", "name": "e"}}
        if "upsertBucket" in query:
            run = {"id": "cg==", "name": variables.get("name"), "displayName": "n", "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": {**run, "historyLineCount": self.steps or 0}, "inserted": True}}
        if "RunResumeStatus" in query:
            return {"model": {**project, "bucket": None if self.steps is None else self._known(variables["name"])}}
        if "createRunFiles" in query:
            files = [
                {"name": name, "uploadUrl": f"http://127.0.0.1:{self.server_port}/file"} for name in variables["files"]
            ]
            return {"createRunFiles": {"runID": "cg==", "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            return {"viewer": {"id": "v", "entity": "e", "username": "u", "email": "u", "flags": "{}"}}
        return {}

    def _known(self, name: str) -> dict[str, Any]:
        tail = json.dumps([json.dumps({"_step": self.steps, "_runtime": 1})])
        counts = {"historyLineCount": self.steps, "eventsLineCount": 0, "logLineCount": 0}
        texts = {"historyTail": tail, "eventsTail": "[]", "summaryMetrics": "{}", "config": "{}"}
        return {"id": "cg==", "name": name, "tags": [], "wandbConfig": '{"t": 1}', **counts, **texts}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/hang":
            self.server.silent.set()
        elif self.server.silent.is_set():
            self.server.over.wait()
            return
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            asked = json.loads(body)
            answer = {"data": self.server.answer(asked["query"], asked.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            lines = json.loads(body).get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
            self.server.streamed += [json.loads(line) for line in lines]
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_PUT = do_POST

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def serving(steps: int | None = None) -> Iterator[tuple[str, Server]]:
    """Have a server that answers; yields its address and itself."""
    server = Server(steps)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


@contextmanager
def mute(answers: bool) -> Iterator[str]:
    """Have an address where connections are taken and nothing is ever said, or where they are refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answers:
            listener.listen(64)  # the kernel takes connections, nobody reads them
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
