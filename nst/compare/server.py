"""The server of ``nst-report vote``: the comparison page, on this machine alone; saves votes."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, ClassVar

from rich.console import Console

from nst.compare.comparison import VOTES, build, votes_script
from nst.compare.select import entries, select
from nst.runner import votes
from nst.runner.votes import Vote
from nst.utils.errors import ConfigError, NstError

HOST = "127.0.0.1"
PAGE = "/compare/index.html"
LONGEST = 4096
"""Bytes of a request with a vote, at most."""


def serve(outputs: Path, words: Sequence[str], port: int) -> Path:
    """Builds the page, serves it until Ctrl-C, and saves each vote at once.

    Args:
        outputs: root folder.
        words: which runs, see ``nst.compare.filter``; none: all.
        port: to listen on; 0: any that is free.

    Returns:
        The page, with the new votes.

    Raises:
        ConfigError: for a word or a port that cannot be used.
        NstError: if there are no two results of the same content and style.
    """
    chosen = select(entries(outputs), words)
    counts = Counter(filter(None, (entry.run.subject for entry in chosen)))
    if max(counts.values(), default=0) < 2:
        text = f"nothing to compare: {len(chosen)} runs, but no two results of the same pictures"
        raise NstError(text)
    build(outputs, words)
    before = len(votes.read(outputs))
    try:
        server = Server((HOST, port), partial(Handler, outputs=outputs))
    except (OSError, OverflowError) as error:
        problem = f"{getattr(error, 'strerror', None) or error}; allowed: a free port, or 0: any"
        raise ConfigError("--port", port, problem) from error
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    address = f"http://{HOST}:{server.server_port}{PAGE}"
    console.print(f"voting; Ctrl-C stops: {address}", markup=False)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()
    count = len(votes.read(outputs))
    text = f"{count - before} new votes, {count} in {outputs / votes.FILE}"
    console.print(f"{text}; the ranking: nst-report report", markup=False)
    return build(outputs, words)


class Server(ThreadingHTTPServer):
    """A thread for each request: browsers hold connections open that they do not use yet."""

    allow_reuse_address = os.name == "posix"  # on Windows, several servers could share the port

    def handle_error(self, *given: Any) -> None:
        """Reports the error of a request, unless the browser has called the request off."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*given)


class Handler(SimpleHTTPRequestHandler):
    """Answers with the files of the output folder, and takes votes, from its own page alone.

    Another page in the same browser could send requests here, even by a name of its own that it
    made an address of this machine (DNS rebinding): they have another host or origin.

    Args:
        outputs: root folder.
    """

    # the registry of Windows may have other types, with which no browser runs the scripts
    extensions_map: ClassVar[dict[str, str]] = {  # type: ignore[misc]
        **SimpleHTTPRequestHandler.extensions_map,
        ".css": "text/css",
        ".html": "text/html",
        ".js": "text/javascript",
        ".png": "image/png",
        ".webp": "image/webp",
    }

    def __init__(self, *given: Any, outputs: Path) -> None:
        self.outputs = outputs
        super().__init__(*given, directory=str(outputs))

    def send_head(self) -> IO[bytes] | None:  # type: ignore[override]
        """Begins the answer to GET and HEAD. Returns the body; None: there is none."""
        if not self._own():
            return None
        if self.path.partition("?")[0] == f"/compare/{VOTES}":
            body = votes_script(self.outputs, server=True).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/javascript")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return io.BytesIO(body)
        return super().send_head()

    def do_POST(self) -> None:
        """Adds a vote."""
        self._change(lambda vote: votes.add(self.outputs, [vote]))

    def do_DELETE(self) -> None:
        """Takes a vote back."""
        self._change(lambda vote: votes.remove(self.outputs, vote))

    def _change(self, change: Callable[[Vote], object]) -> None:
        if vote := self._vote():
            try:
                change(vote)
            except OSError as error:  # such as a full disk
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=str(error))
                return
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

    def _vote(self) -> Vote | None:
        """The vote in a request; None: it has been refused."""
        if not self._own():
            return None
        if self.path != "/votes":
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        try:
            vote = votes.parse(self.rfile.read(int(length)).decode())
            if unknown := {vote.left, vote.right} - votes.runs(self.outputs):
                raise ValueError(f"no such run: {unknown.pop()}")
        except ValueError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, explain=str(error))
            return None
        return vote

    def _own(self) -> bool:
        """Whether a request comes from the page of this server; if not, it is refused."""
        names = [f"{name}:{self.server.server_port}" for name in (HOST, "localhost")]  # type: ignore[attr-defined]
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        if host in names and origin in (None, f"http://{host}"):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def end_headers(self) -> None:
        """Ends the headers: no other page may use the answer, and the page is never an old one."""
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Requests are not reported."""
