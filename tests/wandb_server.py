"""A W&B server on loopback that keeps what the real client sends, and that breaks on demand."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import quote, unquote

import yaml

KEY = "0123456789" * 4
ENTITY = "tester"
SWEEP = "sweep1"
HISTORY, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"
EVENTS, OUTPUT = "wandb-events.jsonl", "output.log"

Fault = Literal["500", "stall", "drop", "lost", "401"]


@dataclass
class Stored:
    """One run as the server has it.

    Attributes:
        history: rows by their step, as W&B keeps them: the last one sent for a step counts.
        offsets: by step, the lines of the stream that it came at: a chunk tried again comes at the
            same ones.
        lines: of the other streams, by name and offset.
        files: what was uploaded, by name.
        complete: whether the last that it sent was its end.
    """

    id: str
    project: str
    config: dict[str, Any] = field(default_factory=dict)
    display_name: str = ""
    group: str = ""
    job_type: str = ""
    sweep: str = ""
    tags: list[str] = field(default_factory=list)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    offsets: dict[int, set[int]] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    complete: bool = False
    exit_code: int | None = None

    @property
    def doubled(self) -> list[int]:
        """Steps that were appended more than once."""
        return sorted(step for step, offsets in self.offsets.items() if len(offsets) > 1)

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.last(SUMMARY) or "{}")

    def last(self, name: str) -> str:
        lines = self.lines.get(name, {})
        return lines[max(lines)] if lines else ""

    def upsert(self, sent: dict[str, Any]) -> None:
        """Takes what is there: the client leaves out what did not change."""
        self.config = json.loads(sent.get("config") or "null") or self.config
        self.display_name = sent.get("displayName") or self.display_name or self.id
        self.group = sent.get("groupName") or self.group
        self.sweep = sent.get("sweep") or self.sweep
        self.job_type = sent.get("jobType") or self.job_type
        self.tags = sent.get("tags") or self.tags

    def stream(self, sent: dict[str, Any]) -> None:
        for name, chunk in (sent.get("files") or {}).items():
            for offset, line in enumerate(chunk["content"], start=chunk["offset"]):
                if name == HISTORY:
                    row = json.loads(line)
                    self.history[row["_step"]] = row
                    self.offsets.setdefault(row["_step"], set()).add(offset)
                else:
                    self.lines.setdefault(name, {})[offset] = line
        self.complete, self.exit_code = sent.get("complete", False), sent.get("exitcode")

    def bucket(self) -> dict[str, Any]:
        """The run as GraphQL has it, with every field that the client asks for."""
        telemetry = self.config.get("_wandb", {}).get("value", {}).get("t")
        tail = [json.dumps(self.history[max(self.history)])] if self.history else []
        return {
            "id": self.id,
            "name": self.id,
            "displayName": self.display_name,
            "tags": self.tags,
            "config": json.dumps(self.config),
            "wandbConfig": json.dumps({"t": telemetry} if telemetry else {}),
            "summaryMetrics": json.dumps(self.summary),
            "historyLineCount": len(self.history),
            "eventsLineCount": len(self.lines.get(EVENTS, {})),
            "logLineCount": len(self.lines.get(OUTPUT, {})),
            "historyTail": json.dumps(tail),
            "eventsTail": json.dumps([line for line in [self.last(EVENTS)] if line]),
            "project": {"id": "1", "name": self.project, "entity": {"id": "1", "name": ENTITY}},
        }


class WandbServer:
    """Use as a context manager; ``environment`` points the client and ``wandb sync`` here.

    Attributes:
        runs: every run by its id.
        artifacts: the files of each, by name.
        committed: names of artifacts that were uploaded whole.
        sweep: what ``wandb sweep`` uploaded.
        points: of its grid, those that no agent has got yet; of an interval, both bounds.
        stops: whether the sweep stops a run early, as Hyperband does.
        requests: what was asked, answered or not: a GraphQL operation, or method and path.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Stored] = {}
        self.artifacts: dict[str, dict[str, bytes]] = {}
        self.committed: list[str] = []
        self.sweep: dict[str, Any] = {}
        self.points: list[dict[str, Any]] = []
        self.stops: Callable[[Stored], bool] = lambda run: False
        self.requests: list[str] = []
        self._fault: Fault | None = None
        self._changed = threading.Condition()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.environment = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> WandbServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.fault = "drop"  # lets go of who waits
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def fault(self) -> Fault | None:
        """How every request fails from now on.

        ``500``, ``401``: answered so. ``drop``: hung up on. ``lost``: the same, but what was sent
        is kept. ``stall``: not answered while this lasts, then hung up on.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        """Status and JSON; None: hang up."""
        sent = json.loads(body) if path == "/graphql" else {}
        if path == "/graphql" and not sent.get("operationName"):  # W&B's public API leaves it out
            sent["operationName"] = re.findall(r"(?:query|mutation)\s+(\w+)", sent["query"])[0]
        with self._changed:
            self.requests.append(sent.get("operationName") or f"{method} {path}")
            fault = self._fault
            if fault == "stall":
                self._changed.wait_for(lambda: self._fault != "stall")
            if fault in {"stall", "drop"}:
                return None
            if fault in {"500", "401"}:
                return int(fault), {"error": "as the test says"}
            found = self._serve(method, path, body, sent)
            return None if fault == "lost" else found

    def _serve(self, method: str, path: str, body: bytes, sent: dict[str, Any]) -> tuple[int, Any]:
        if path == "/graphql":
            return 200, {"data": self._graphql(sent["operationName"], sent.get("variables") or {})}
        match [method, *(unquote(part) for part in path.strip("/").split("/"))]:
            case ["PUT", "storage", run, *name] if run in self.runs:
                self.runs[run].files["/".join(name)] = body
            case ["PUT", "artifacts", artifact, *name] if artifact in self.artifacts:
                self.artifacts[artifact]["/".join(name)] = body
            case ["POST", "files", _, _, run, "file_stream"] if run in self.runs:
                self.runs[run].stream(json.loads(body))
                return 200, {"stopped": self.stops(self.runs[run])}
            case _:  # the client's telemetry, for one
                return 404, {"error": f"{method} {path}"}
        return 200, {}

    def _graphql(self, operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        match operation:
            case "Viewer":
                who = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}"}
                return {"viewer": {**who, "teams": {"edges": [{"node": {"name": ENTITY}}]}}}
            case "RunResumeStatus":
                known = self.runs.get(sent["name"])
                return {"model": {"bucket": known.bucket() if known else None}}
            case "UpsertBucket":
                inserted = sent["name"] not in self.runs
                run = self.runs.setdefault(sent["name"], Stored(sent["name"], sent["project"]))
                run.upsert(sent)
                return {"upsertBucket": {"bucket": run.bucket(), "inserted": inserted}}
            case "CreateRunFiles":
                to = f"{self.url}/storage/{quote(sent['run'])}"
                files = [
                    {"name": name, "uploadUrl": f"{to}/{quote(name)}"} for name in sent["files"]
                ]
                made = {"runID": sent["run"], "uploadHeaders": [], "files": files}
                return {"createRunFiles": made}
            case "ArtifactType":
                return {"project": {"artifact": None}}
            case "UpsertSweep" | "SweepWithRuns" | "CreateAgent" | "Heartbeat":
                return self._sweep(operation, sent)
            case _ if "Artifact" in operation:
                return self._artifact(operation, sent)
        return {}  # what an older server does not know

    def _sweep(self, operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        """A grid: an agent gets a point whenever it has nothing to run, and then the end.

        A run that is to stop early is stopped by its agent, and so it is by the client.
        """
        match operation:
            case "UpsertSweep":
                self.sweep = yaml.safe_load(sent["config"])
                grid = [
                    [(name, {"value": value}) for value in _values(parameter)]
                    for name, parameter in self.sweep["parameters"].items()
                ]
                self.points = [dict(point) for point in itertools.product(*grid)]
                project = {"id": "1", "name": sent["projectName"], "entity": {"id": "1"}}
                project["entity"]["name"] = ENTITY
                return {"upsertSweep": {"sweep": {"name": SWEEP, "project": project}}}
            case "SweepWithRuns":
                config = yaml.safe_dump(self.sweep)
                return {"project": {"sweep": {"config": config, "runs": {"edges": []}}}}
            case "CreateAgent":
                return {"createAgent": {"agent": {"id": "agent"}}}
        running = json.loads(sent["runState"])
        known = [self.runs[name] for name in running if name in self.runs]
        commands: list[dict[str, Any]] = [
            {"type": "stop", "run_id": run.id} for run in known if self.stops(run)
        ]
        if not running:
            commands = [{"type": "exit"}]
            if self.points:
                run = f"point{len(self.points)}"
                args = self.points.pop(0)
                program = self.sweep["program"]
                commands = [{"type": "run", "run_id": run, "program": program, "args": args}]
        return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}

    def _artifact(self, operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        """An artifact's id, and its manifest's, is its name."""
        done = operation[0].lower() + operation[1:]
        match operation:
            case "CreateArtifact":
                name = sent["input"]["artifactCollectionName"]
                self.artifacts[name] = {}
                made = {
                    "id": name,
                    "state": "PENDING",
                    "artifactSequence": {"latestArtifact": None},
                }
                return {done: {"artifact": made}}
            case "CreateArtifactManifest" | "UpdateArtifactManifest":
                name = sent.get("artifactID") or sent["artifactManifestID"]
                file = self._upload(name, "wandb_manifest.json") | {"id": "1"}
                return {done: {"artifactManifest": {"id": name, "file": file}}}
            case "CreateArtifactFiles":
                nodes = [
                    self._upload(file["artifactID"], file["name"])
                    | {"storagePath": file["name"], "artifact": {"id": file["artifactID"]}}
                    for file in sent["input"]["artifactFiles"]
                ]
                return {done: {"files": {"edges": [{"node": node} for node in nodes]}}}
            case "CommitArtifact":
                self.committed.append(sent["artifactID"])
                return {done: {"artifact": {"id": sent["artifactID"], "digest": ""}}}
        return {}

    def _upload(self, artifact: str, name: str) -> dict[str, Any]:
        url = f"{self.url}/artifacts/{quote(artifact)}/{quote(name)}"
        return {"uploadUrl": url, "uploadHeaders": []}


def _values(parameter: dict[str, Any]) -> list[Any]:
    return parameter["values"] if "values" in parameter else [parameter["min"], parameter["max"]]


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if len(body := self.rfile.read(size)) < size:
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if (answer := server.answer(self.command, self.path, body)) is None:
                return  # HTTP/1.0: the connection ends with this
            with contextlib.suppress(ConnectionError):  # the client was killed meanwhile
                self.send_response(answer[0])
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer[1]).encode())

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: ``requests`` has it."""

    return Handler
