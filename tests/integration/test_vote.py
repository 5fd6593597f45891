"""``nst-report vote``: its server, its files, and the rankings on the report's page."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest

from nst.cli import report
from nst.compare.comparison import build
from nst.compare.server import LONGEST, Handler, Server
from nst.reports import page
from nst.runner import votes
from nst.runner.votes import Vote
from nst.utils.errors import NstError
from tests.run_folders import made_up

OUTPUTS = Path("outputs")
VOTE = Vote("mild", "strong", "left", "2026-01-31T12:00:00.000Z", "me")


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings with two seeds each."""
    monkeypatch.chdir(tmp_path)
    for name, weight in (("mild", 1e4), ("strong", 1e6)):
        for suffix, seed in (("", 0), ("-2", 1)):
            made_up(OUTPUTS, name + suffix, weights={"style": weight}, seed=seed)


@pytest.fixture
def server() -> Iterator[Server]:
    build(OUTPUTS)
    with Server(("127.0.0.1", 0), partial(Handler, outputs=OUTPUTS)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def request(
    server: Server, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, str]:
    """Status and text of the answer."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, body and body.encode(), headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    connection.close()
    return answer.status, text


def test_a_vote_is_saved_at_once_and_can_be_taken_back(server: Server) -> None:
    assert request(server, "POST", "/votes", VOTE.line)[0] == 204
    assert votes.read(OUTPUTS) == [VOTE]
    assert (OUTPUTS / votes.FILE).read_text() == f"{VOTE.line}\n"
    assert request(server, "POST", "/votes", VOTE.line)[0] == 204  # the same vote
    assert votes.read(OUTPUTS) == [VOTE]
    status, script = request(server, "GET", "/compare/votes.js?1")
    assert status == 200
    assert json.loads(script[len("nstVotes(") : -len(");\n")]) == {
        "votes": [json.loads(VOTE.line)],
        "server": True,
    }
    assert '"server":false' in (OUTPUTS / "compare/votes.js").read_text()
    assert request(server, "DELETE", "/votes", VOTE.line)[0] == 204
    assert votes.read(OUTPUTS) == []


def test_it_shows_the_page_and_its_pictures(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    for path in ("/compare/index.html", "/compare/runs.js", "/runs/mild/final.png"):
        assert request(server, "GET", path)[0] == 200
    assert request(server, "GET", "/compare/index.html")[1].startswith("<!doctype html>")
    assert request(server, "HEAD", "/compare/index.html") == (200, "")


def test_only_its_own_page_may_ask(server: Server) -> None:
    """Neither a name that points to this machine nor another page in the browser gets through."""
    port = server.server_port
    own = f"127.0.0.1:{port}"
    refused: list[dict[str, str]] = [
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": own, "Origin": "http://evil.example"},
        {"Host": own, "Origin": f"https://{own}"},
        {"Host": own, "Origin": f"http://localhost:{port}"},
        {"Host": own, "Origin": "null"},
    ]
    for headers in refused:
        for method, path in (("GET", "/compare/runs.js"), ("POST", "/votes"), ("DELETE", "/votes")):
            body = VOTE.line if path == "/votes" else None
            assert request(server, method, path, body, **headers)[0] == 403, headers
        assert request(server, "GET", "/compare/votes.js", **headers)[0] == 403
    assert votes.read(OUTPUTS) == []
    name = f"localhost:{port}"
    for host in (own, name):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert request(server, "POST", "/votes", VOTE.line, **headers)[0] == 204


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/runs/..%2f..%2fsecret.txt",
        "//secret.txt",
        "/runs/../../secret.txt",
        "/..%5csecret.txt",
    ],
)
def test_only_the_output_folder(server: Server, path: str) -> None:
    Path("secret.txt").write_text("secret")
    status, text = request(server, "GET", path)
    assert status == 404
    assert "secret" not in text.replace("secret.txt", "")


def test_what_is_no_vote_is_refused(server: Server) -> None:
    gone = Vote("mild", "../../secret", "left", VOTE.time)
    for body, status, told in (
        ("", 400, "is not JSON"),
        ("[]", 400, "needs left"),
        (VOTE.line.replace("left", "up"), 400, "needs left"),
        (gone.line, 400, "no such run: ../../secret"),
        (VOTE.line + " " * LONGEST, 413, ""),
    ):
        found, text = request(server, "POST", "/votes", body)
        assert (found, told in text) == (status, True), body[:80]
    assert request(server, "POST", "/compare/index.html", VOTE.line)[0] == 404
    assert request(server, "PUT", "/votes", VOTE.line)[0] == 501
    assert not (OUTPUTS / votes.FILE).exists()


def test_a_disk_that_is_full_is_reported(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(votes, "write_whole", full)
    status, text = request(server, "POST", "/votes", VOTE.line)
    assert status == 500
    assert "No space left on device" in text


def test_add(capsys: pytest.CaptureFixture[str]) -> None:
    gone = Vote("mild", "nobody", "right", VOTE.time)
    Path("got.jsonl").write_text(f"\ufeff{VOTE.line}\r\n\r\n{gone.line}")
    assert report.report(["vote", "--add", "got.jsonl"]) == 0
    said = capsys.readouterr()
    assert said.out == "outputs/votes.jsonl\n"
    told = "2 added, 0 known before; 1 of them do not count: their runs are not in outputs/runs"
    assert said.err == f"nst-report: votes: {told}\n"
    before = (OUTPUTS / votes.FILE).read_bytes()
    assert report.report(["vote", "--add", "got.jsonl"]) == 0
    assert "0 added, 2 known before" in capsys.readouterr().err
    assert (OUTPUTS / votes.FILE).read_bytes() == before
    Path("bad.jsonl").write_text(f"{VOTE.line}\n{VOTE.line.replace('strong', 'x')}\n{{}}\n")
    for arguments, told in (
        (["bad.jsonl"], "--add=bad.jsonl: line 3: needs left, right, preferred, time"),
        (["none.jsonl"], "--add=none.jsonl: cannot be read: No such file or directory"),
        (["got.jsonl", "seed=0"], "takes all votes of the file; remove seed=0"),
    ):
        assert report.report(["vote", "--add", *arguments]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert len(err.splitlines()) == 1
    assert (OUTPUTS / votes.FILE).read_bytes() == before


def test_what_it_cannot_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        for arguments, status, told in (
            (["mild-2"], 1, "nothing to compare: 1 runs, but no two results"),
            (["sed=1"], 2, "did you mean seed?"),
            (["--port", port], 2, f"--port={port}: Address already in use; allowed: a free port"),
            (["--port", "70000"], 2, "allowed: a free port, or 0: any"),
        ):
            assert report.report(["vote", *arguments]) == status
            assert told in capsys.readouterr().err


def ranked(text: str) -> list[str]:
    """The settings on the report's page or in report.md, the best first."""
    html = re.findall(r'<td class="sentence">(weights[^<]*)</td>', text)
    return html or re.findall(r"^\| (weights[^|]*) \|", text, re.MULTILINE)


def test_the_report_has_the_ranking_of_single_runs() -> None:
    with pytest.raises(NstError, match="no run of an experiment"):
        page.build(OUTPUTS)
    other = Vote("strong", "mild-2", "equal", VOTE.time)
    votes.add(OUTPUTS, [VOTE, other])
    made = page.build(OUTPUTS)
    html = made.read_text()
    assert '<section id="preferred"' in html
    assert ranked(html) == ["weights.style=10000", "weights.style=1e6"]
    assert "2 votes, 1 without a difference." in html
    back = [Vote("mild-2", "strong-2", "right", f"2026-02-0{day}") for day in range(1, 5)]
    votes.add(OUTPUTS, back)
    page.build(OUTPUTS)
    assert ranked(made.read_text()) == ["weights.style=1e6", "weights.style=10000"]
    markdown = made.with_name("report.md").read_text()
    assert [each.replace("\\", "") for each in ranked(markdown)] == ranked(made.read_text())
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block


def test_the_ranking_is_in_the_section_of_its_experiment() -> None:
    jobs = [[f"weights={name}", f"seed={seed}"] for name in ("mild", "strong") for seed in (0, 1)]
    labels = {"weights": {"mild": "little <style>", "strong": "much style"}}
    for job, name in zip(jobs, ("mild", "mild-2", "strong", "strong-2"), strict=True):
        record = {"overrides": job, "jobs": jobs, "base": "b", "asked": "2026"}
        record["experiment"] = {"name": "own", "title": "Own", "labels": labels}
        (OUTPUTS / "runs" / name / "experiments").mkdir()
        (OUTPUTS / "runs" / name / "experiments/own-0.json").write_text(json.dumps(record))
    assert "Preferred by eye" not in page.build(OUTPUTS).read_text()
    votes.add(OUTPUTS, [VOTE])
    html = page.build(OUTPUTS).read_text()
    section = html.partition('<section id="own"')[2].partition("</section>")[0]
    rows = re.findall(r'<td class="sentence">(.*?)</td>', section)
    assert rows == ["little &lt;style&gt;", "much style"]
    assert "1 vote, 0 without a difference." in section
    assert '<section id="preferred"' not in html
