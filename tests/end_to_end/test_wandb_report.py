"""The W&B report and its workspaces: as models of every experiment, and saved for real."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb_workspaces.reports.v2 as wr
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from markdown_it import MarkdownIt
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from PIL import Image
from wandb_workspaces.reports.v2 import interface
from wandb_workspaces.reports.v2.internal import Project, ReportViewspec, Spec
from wandb_workspaces.workspaces.internal import WorkspaceViewspec

from nst.config.compose import conf_dir, to_config
from nst.config.experiment import MEASURES
from nst.config.job_overrides import values
from nst.config.schema import Config
from nst.reports import claims
from nst.reports.collect import Experiment, collect
from nst.reports.wandb_report import models, panels, save
from nst.reports.wandb_report.runs import grouping_keys, logged_runs
from nst.reports.wandb_report.text import plain
from nst.sweeps.composer import Composer
from nst.sweeps.job_list import expected_jobs
from nst.sweeps.search import record
from nst.utils.errors import NstError
from nst.utils.files import read_json
from tests import helpers
from tests.commands import LIMIT
from tests.helpers import nst
from tests.wandb_server import ENTITY, WandbServer

Found = dict[str, Experiment]

NAMES = sorted(path.stem for path in (Path(conf_dir()) / "experiments").glob("*.yaml"))
SNAPSHOTS = 3
MANY = 30
"""Jobs of an experiment, of which some are left out."""
PICTURES = ("pair", "style")
LOGGED = tuple(MEASURES)[: list(MEASURES).index("loss")]
"""Metrics of a single run."""
WHOLE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of every experiment as its file declares it, with made-up numbers."""
    outputs = tmp_path_factory.mktemp("outputs")
    for name in NAMES:
        _write_experiment(outputs, name)
    return outputs


def _write_experiment(outputs: Path, name: str) -> None:
    """A composition takes a third of a second: one for all values, and two of many pictures."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        typed = [f"+experiments={name}", "seed=0,1"]
        asked = hydra.compose_config("config", typed, run_mode=RunMode.MULTIRUN)
        jobs = expected_jobs(asked)
        if len(jobs) > MANY:
            swept = asked.hydra.sweeper.params
            typed += [f"{k}={','.join(swept[k].split(',')[:2])}" for k in PICTURES if k in swept]
            jobs = expected_jobs(hydra.compose_config("config", typed, run_mode=RunMode.MULTIRUN))
        rest = [tuple(word for word in job if not word.startswith("seed=")) for job in jobs]
        composer = Composer(hydra.config_loader, asked)
        composed = {words: _config(composer.compose(words)) for words in dict.fromkeys(rest)}
    for number, (job, words) in enumerate(zip(jobs, rest, strict=True)):
        config = replace(composed[words], seed=int(values(job).get("seed", "0")))
        plain_config = config.asdict()
        if config.init.name == "content":  # a seed changes nothing: one run
            plain_config["seed"] = 0
        identity = hashlib.sha256(json.dumps(plain_config, default=str).encode()).hexdigest()[:8]
        folder = outputs / "runs" / f"run-{identity}"
        (folder / "experiments").mkdir(parents=True, exist_ok=True)
        record = {"experiment": plain_config["experiment"], "overrides": job, "jobs": jobs}
        record |= {"base": "b", "asked": "2026"}
        (folder / "experiments" / f"{name}-{number}.json").write_text(json.dumps(record))
        found = replace(config.run, wandb_id=identity, name=folder.name, folder=str(folder))
        resolved = OmegaConf.create(replace(config, run=found).asdict())
        OmegaConf.resolve(resolved)
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(resolved))
        rng = np.random.default_rng(number)
        loss = rng.uniform()
        facts = {"status": "completed", "seconds": 1.5, "losses": {"loss/total": loss}}
        facts["measures"] = {measure: rng.uniform() for measure in LOGGED}
        (folder / "run.json").write_text(json.dumps(facts))
        (folder / "metrics.csv").write_text(f"step,seconds,loss/total\n0,0,2\n1,1,{loss}\n")
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        picture.save(folder / "final.png")
        for folder_name, names in (
            ("snapshots", [f"{step:05d}" for step in range(SNAPSHOTS)]),
            ("inputs", plain_config["experiment"]["inputs"]),
        ):
            (folder / folder_name).mkdir(exist_ok=True)
            for each in names:
                picture.save(folder / folder_name / f"{each}.png")


def _config(composed: DictConfig) -> Config:
    with read_write(composed), open_dict(composed):
        del composed["hydra"]
    return to_config(composed)


@pytest.fixture(scope="module")
def experiments(root: Path) -> Found:
    return collect(root)


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only thing that a report asks while it becomes JSON is the number of the project."""

    def answer(api: object, query: str, variables: dict[str, str]) -> dict[str, Any]:
        assert variables == {"entityName": "me", "projectName": "nst"}
        return {"project": {"internalId": "7"}}

    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", answer)


def sent(report: wr.Report) -> dict[str, Any]:
    """The report as ``save`` would send it."""
    spec = report._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    return json.loads(spec)


def sent_workspace(experiment: Experiment) -> dict[str, Any]:
    model = models.workspace(experiment, "me", "nst")._to_model()
    assert (model.entity, model.project) == ("me", "nst")
    assert model.display_name == f"nst: {experiment.config.name}"
    return json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))["section"]


def ids(outputs: Path, name: str) -> set[str]:
    """W&B ids of an experiment's runs, from the files."""
    paths = outputs.glob(f"runs/*/experiments/{name}-*.json")
    return {
        yaml.safe_load((path.parents[1] / "config.yaml").read_text())["logger"]["wandb"]["id"]
        for path in paths
    }


def at(config: dict[str, Any], key: str) -> Any:
    """A value of W&B's config, which has ``value`` after the first part of a key."""
    first, value, *rest = key.split(".")
    assert value == "value"
    found = config[first]
    for part in rest:
        found = found[part]
    return found


def grids(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]


def of_type(panels: list[dict[str, Any]], view: str) -> list[dict[str, Any]]:
    return [panel["config"] for panel in panels if panel["viewType"] == view]


def check_filter(runset: dict[str, Any], expected: set[str]) -> None:
    (condition,) = runset["filters"]["filters"]
    assert condition["key"] == {"section": "run", "name": "name"}  # W&B's name of a run is its id
    assert condition["op"] == "IN"
    assert set(condition["value"]) == expected
    assert len(condition["value"]) == len(expected)
    assert not condition["disabled"]
    assert runset["sort"]["keys"][0]["ascending"]


def check_media(panels: list[dict[str, Any]], inputs: list[str]) -> None:
    grid, slider, final, went_in = of_type(panels, "Media Browser")
    assert grid["mediaKeys"] == ["snapshot"]
    assert (grid["mode"], grid["columnCount"]) == ("grid", SNAPSHOTS)
    assert grid["gridSettings"] == {"xAxis": "step", "yAxis": "run"}
    for panel, key in ((slider, "snapshot"), (final, "final")):
        assert panel["mediaKeys"] == [key]
        assert panel["gallerySettings"] == {"axis": "run"}
    assert went_in["mediaKeys"] == inputs


def check_curves(expected: set[str], *plots: dict[str, Any]) -> None:
    steps, seconds = plots
    assert (steps["xAxis"], seconds["xAxis"]) == ("_step", "seconds")
    for plot in plots:
        assert plot["metrics"] == ["loss/total"]
        assert plot["yLogScale"]
        assert plot["limit"] == len(expected)
        titles = plot["overrideSeriesTitles"]
        assert set(titles) == {f"{run}:loss/total" for run in expected}
        assert len(set(titles.values())) == len(expected)  # a legend that tells the runs apart


@pytest.mark.parametrize("name", NAMES)
def test_report(root: Path, experiments: Found, name: str, no_server: None) -> None:
    experiment = experiments[name]
    declared, expected = experiment.config, ids(root, name)
    assert expected
    spec = sent(models.report([experiment], "me", "nst"))
    kinds = Counter(block["type"] for block in spec["blocks"])
    assert kinds["table-of-contents"] == 1
    (heading, runs) = [block for block in spec["blocks"] if block["type"] == "heading"]
    assert heading["children"][0]["text"] == f"{declared.section} {declared.title}"
    texts = [block["children"][0]["text"] for block in spec["blocks"] if "children" in block]
    assert any(text.endswith(f"{len(experiment.jobs)} runs finished.") for text in texts)
    assert all(note in texts for note in declared.notes)

    single, grouped = grids(spec)
    for grid in (single, grouped):
        (runset,) = grid["runSets"]
        check_filter(runset, expected)
        assert runset["project"] == {"name": "nst", "entityName": "me", "id": "7"}
        assert set(grid["customRunColors"]) == expected
    bank = single["panelBankSectionConfig"]["panels"]
    check_media(bank, declared.inputs)
    check_curves(expected, *of_type(bank, "Run History Line Plot"))
    assert of_type(bank, "Run Comparer") == [{"diffOnly": "split"}]
    assert [(plot["xAxis"], plot["yAxis"]) for plot in of_type(bank, "Scatter Plot")] == [
        (f"summary:measure/{plot.x}", f"summary:measure/{plot.y}") for plot in declared.plots
    ]

    assert single["runSets"][0]["grouping"] == []
    bank = grouped["panelBankSectionConfig"]["panels"]
    for plot in of_type(bank, "Run History Line Plot"):
        assert (plot["groupAgg"], plot["groupArea"]) == ("mean", "minmax")
    shown = [bar["metrics"] for bar in of_type(bank, "Bar Chart")]
    logged = [f"measure/{measure}" for measure in LOGGED]
    assert shown == [[key] for key in (*logged, "loss/total", "seconds")]

    for grid in grids(spec):  # in order, and nothing lies on anything else
        boxes = [panel["layout"] for panel in grid["panelBankSectionConfig"]["panels"]]
        assert [(box["y"], box["x"]) for box in boxes] == sorted(
            (box["y"], box["x"]) for box in boxes
        )
        cells = Counter(
            (box["x"] + x, box["y"] + y)
            for box in boxes
            for x in range(box["w"])
            for y in range(box["h"])
        )
        assert set(cells.values()) == {1}
        assert max(x for x, _ in cells) < panels.WIDTH

    table, command = runs["collapsedChildren"]
    assert len(cells_of(table["content"])) == 1 + len(expected)
    assert command["children"][0]["children"][0]["text"] == experiment.command


@pytest.mark.parametrize("name", NAMES)
def test_groups_are_the_columns_of_the_table(
    root: Path, experiments: Found, name: str, no_server: None
) -> None:
    """W&B sees configs, not overrides: the keys that it groups by must make the same groups."""
    experiment = experiments[name]
    grouping = grids(sent(models.report([experiment], "me", "nst")))[1]["runSets"][0]
    assert all(key["section"] == "config" for key in grouping["grouping"])
    keys = [key["name"] for key in grouping["grouping"]]
    assert keys
    columns = experiment.config.columns or experiment.config.rows
    pairs = set()
    for path in root.glob(f"runs/*/experiments/{name}-*.json"):
        config = yaml.safe_load((path.parents[1] / "config.yaml").read_text())
        overrides = dict(word.split("=", 1) for word in json.loads(path.read_text())["overrides"])
        column = tuple(overrides[key] for key in columns)
        pairs.add((column, json.dumps([at(config, key) for key in keys])))
    assert len(pairs) > 1
    assert len({column for column, _ in pairs}) == len(pairs)
    assert len({values for _, values in pairs}) == len(pairs)


def test_groups_of_the_weights(experiments: Found) -> None:
    """Strong at content weight 1 and 2 have one style weight: it takes both keys."""
    keys = grouping_keys(experiments["weights"])
    assert sorted(keys) == ["weights.content", "weights.style"]


@pytest.mark.parametrize("name", NAMES)
def test_workspace(root: Path, experiments: Found, name: str) -> None:
    experiment = experiments[name]
    expected = ids(root, name)
    section = sent_workspace(experiment)
    (runset,) = section["runSets"]
    check_filter(runset, expected)
    assert runset["grouping"] == []  # pictures are of runs
    assert section["customRunColors"].keys() == expected
    assert section["settings"]["maxRuns"] == len(expected)
    assert not section["settings"]["shouldAutoGeneratePanels"]
    parts = {part["name"]: part["panels"] for part in section["panelBankConfig"]["sections"]}
    named = ["pictures", "loss", "mean loss", "metrics", "trade-offs", "differences"]
    assert list(parts) == [
        part for part in named if part != "trade-offs" or experiment.config.plots
    ]
    check_media(parts["pictures"], experiment.config.inputs)
    check_curves(expected, *of_type(parts["loss"], "Run History Line Plot"))
    keys = grouping_keys(experiment)
    grouped = [plot["groupBy"] for plot in of_type(parts["mean loss"], "Run History Line Plot")]
    assert grouped == [key for key in pinned(runset) for _ in ("steps", "seconds")]
    for bar in of_type(parts["metrics"], "Bar Chart"):
        assert bar.get("groupBy") == (grouped[0] if len(keys) == 1 else None)


def pinned(runset: dict[str, Any]) -> list[str]:
    first, *keys = runset["runFeed"]["columnPinned"]
    assert first == "run:displayName"
    return [key.removeprefix("config:") for key in keys]


def test_a_run_of_several_seeds_is_shown_once(experiments: Found) -> None:
    experiment = experiments["noise_or_content"]
    assert len(experiment.jobs) == 12
    assert len(logged_runs(experiment)) == 9  # three pairs from two noises, and from the photo


def test_colours_are_columns_and_dashes_rows(experiments: Found) -> None:
    found = logged_runs(experiments["weights_grid"])
    looks = {(run.colour, run.dash) for run in found}
    assert looks == {(colour, dash) for colour in range(4) for dash in range(4)}
    plot = sent_workspace(experiments["weights_grid"])["panelBankConfig"]["sections"][1]
    marks = of_type(plot["panels"], "Run History Line Plot")[0]["overrideMarks"]
    assert set(marks.values()) == set(panels.MARKS)


def test_the_library_reads_back_what_was_built(experiments: Found, no_server: None) -> None:
    """No panel or block falls through to those that the library does not know."""
    report = models.report(list(experiments.values()), "me", "nst")
    spec = Spec.model_validate(sent(report))
    project = Project(name="nst", entity_name="me")
    back = wr.Report._from_model(ReportViewspec(display_name="t", project=project, spec=spec))
    kinds = [type(block) for block in report.blocks]
    assert [type(block) for block in back.blocks] == kinds
    assert kinds.count(wr.PanelGrid) == 2 * len(NAMES)
    for built, read in zip(report.blocks, back.blocks, strict=True):
        if isinstance(built, wr.PanelGrid):
            assert [type(panel) for panel in read.panels] == [type(panel) for panel in built.panels]
            assert read.runsets[0]._to_model().filters == built.runsets[0]._to_model().filters
    for experiment in experiments.values():
        view = models.workspace(experiment, "me", "nst")._to_model()
        text = view.spec.model_dump_json(by_alias=True, exclude_none=True)
        again = WorkspaceViewspec.model_validate_json(text)
        assert again.model_dump_json(by_alias=True, exclude_none=True) == text


# texts


def cells_of(markdown: str) -> list[list[str]]:
    """Texts of a table's cells as a reader sees them; nothing else may be in there."""
    rows: list[list[str]] = []
    structure = re.compile(r"(table|thead|tbody|tr|th|td)_(open|close)|inline")
    for token in WHOLE.parse(markdown):
        assert structure.fullmatch(token.type), token
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            assert {child.type for child in token.children or []} <= {"text", "text_special"}
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_claims_are_in_the_report(experiments: Found, name: str, no_server: None) -> None:
    experiment = experiments[name]
    findings = claims.test(experiment)
    blocks = sent(models.report([experiment], "me", "nst"))["blocks"]
    tables = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    assert len(tables) == bool(findings)
    for table in tables:
        head, *rows = cells_of(table)
        assert head == ["sentence", "metric", "numbers", "verdict", "reason"]
        assert len(rows) == len(findings)
        for (sentence, metric, numbers, verdict, reason), finding in zip(
            rows, findings, strict=True
        ):
            assert sentence.startswith(" ".join(finding.claim.text.split()))
            expected = MEASURES[finding.metric].title if finding.metric else "setting"
            assert (metric, verdict, reason) == (expected, finding.verdict, finding.reason)
            assert all(finding.numbers.values())
            for found in finding.numbers.values():
                assert f"{np.mean(found):.3g}" in numbers
            assert numbers.count("±") == sum(len(each) > 1 for each in finding.numbers.values())


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "a | b | c",
    "| --- |",
    "**bold** _it_ ~~gone~~ `code`",
    "$$\\frac{1}{0}$$ and $x$",
    "first\n\n# second\n\n```\nthird",
    "\\| \\\\ &amp; &lt;b&gt;",
    "<https://example.org> https://example.org",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_texts(experiments: Found, text: str, no_server: None) -> None:
    experiment = experiments["two_noises"]
    (claim,) = experiment.config.claims
    config = replace(
        experiment.config,
        title=text,
        about=text,
        notes=[text],
        claims=[replace(claim, text=text)],
        labels={"seed": {seed: f"{text} {seed}" for seed in "012"}},
    )
    hostile = replace(experiment, config=config)
    spec = sent(models.report([hostile], "me", "nst"))
    _, (sentence, *_) = cells_of(spec_table(spec))
    shown = " ".join(text.split())
    assert sentence.startswith(shown)
    assert "$" not in plain(text)  # W&B's Markdown has formulas
    # headings and paragraphs are text nodes, which W&B shows as they are
    titles = [block["children"] for block in spec["blocks"] if block["type"] == "heading"]
    assert titles[0] == [{"text": f"1.2 {text}"}]
    assert sent_workspace(hostile)["runSets"]


def spec_table(spec: dict[str, Any]) -> str:
    (table,) = [block["content"] for block in spec["blocks"] if block["type"] == "markdown-block"]
    return table


def test_a_filter_takes_any_id(experiments: Found) -> None:
    """Ids are the user's with ``logger.wandb.id``; the library edits = < > even in strings."""
    odd = ["a=b", "<c>", "it's", 'say "so"', "back\\slash", "Tags() == 1"]
    runs = [replace(run, id=name) for run, name in zip(_some(experiments), odd, strict=False)]
    runset = wr.Runset(filters=models.only(runs))._to_model()
    assert runset.filters["filters"][0]["value"] == odd[: len(runs)]
    assert len(runs) == len(odd)


def _some(experiments: Found) -> list[Any]:
    return logged_runs(experiments["weights"])


def test_runs_that_wandb_was_not_told_of(tmp_path: Path, no_server: None) -> None:
    _write_experiment(tmp_path, "two_noises")
    told, silent = sorted(tmp_path.glob("runs/*/config.yaml"))
    silent.write_text(yaml.safe_dump(yaml.safe_load(silent.read_text()) | {"logger": None}))
    experiment = collect(tmp_path)["two_noises"]
    assert [each.run.folder for each in logged_runs(experiment)] == [told.parent]
    told.write_text("logger: {}")
    experiment = collect(tmp_path)["two_noises"]
    assert logged_runs(experiment) == []
    assert grids(sent(models.report([experiment], "me", "nst"))) == []
    with pytest.raises(NstError, match="logger=wandb"):
        save.save(tmp_path)


def test_runs_of_two_projects(tmp_path: Path) -> None:
    _write_experiment(tmp_path, "two_noises")
    path = next(tmp_path.glob("runs/*/config.yaml"))
    config = yaml.safe_load(path.read_text())
    config["logger"]["wandb"] |= {"entity": "team", "project": "other"}
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(NstError, match=r"several projects \(.*team/other"):
        save.save(tmp_path)


def test_what_is_not_on_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run that began online and went offline has another name in its record."""
    _write_experiment(tmp_path, "two_noises")
    first, second = logged_runs(collect(tmp_path)["two_noises"])
    records = []
    for logged, name in ((first, first.id), (second, f"{second.id}-offline")):
        record = logged.run.folder / f"wandb/offline-run-20260101_000000-{name}"
        record.mkdir(parents=True)
        (record / f"run-{name}.wandb").touch()
        records.append(record)
    commands = f"wandb sync {records[0]} && wandb sync --id {second.id} {records[1]}"
    with pytest.raises(NstError, match=re.escape(f"send them first: {commands}")):
        save.save(tmp_path)
    (records[0] / f"run-{first.id}.wandb.synced").touch()  # as `wandb sync` leaves it
    save._check_sent([first, second])
    assert "1 of 2 runs were recorded offline" in caplog.text
    assert f"to add them to the report: wandb sync --id {second.id} {records[1]}" in caplog.text
    assert str(records[0]) not in caplog.text


# a server


class ReportServer(WandbServer):
    """Takes views as well, which are what reports and workspaces are to W&B.

    Attributes:
        views: as they were sent last, by the id that was given to them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, dict[str, Any]] = {}

    def _graphql(self, operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        known = {run.project for run in self.runs.values()}
        match operation:
            case "GetDefaultEntity":
                return {"viewer": {"id": "1", "entity": ENTITY}}
            case "ProjectInternalId":
                found = sent["entityName"] == ENTITY and sent["projectName"] in known
                return {"project": {"id": "1", "internalId": "7"} if found else None}
            case "GetProjects":
                nodes = [_project(name) for name in sorted(known)]
                page = {"__typename": "PageInfo", "endCursor": "", "hasNextPage": False}
                return {"models": {"pageInfo": page, "edges": [{"node": node} for node in nodes]}}
            case "upsertView" | "UpsertView2":
                identity = sent.get("id") or f"view{len(self.views)}"
                inserted = identity not in self.views
                self.views[identity] = sent
                project = {"id": "1", "name": sent["projectName"], "entityName": ENTITY}
                view = {**sent, "id": identity, "project": project}
                return {"upsertView": {"view": view, "inserted": inserted}}
        return super()._graphql(operation, sent)


def _project(name: str) -> dict[str, Any]:
    node = {"__typename": "Project", "id": "1", "name": name, "entityName": ENTITY}
    return {**node, "createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False, "user": None}


def nst_report(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command at an empty home, so that no login is found but that of the environment."""
    home = cwd / "home"
    home.mkdir(exist_ok=True)
    clean = {"HOME": str(home), "WANDB_MODE": "online", "WANDB_API_KEY": "", "NETRC": ""}
    return helpers.nst_report(*arguments, cwd=cwd, **clean | environment)


def test_without_a_login(tmp_path: Path) -> None:
    server = ReportServer()
    with server:
        ended = nst_report("--run", "--wandb", cwd=tmp_path, WANDB_BASE_URL=server.url)
        assert ended.returncode == 1
        assert ended.stdout == ""
        (line,) = ended.stderr.splitlines()
        assert line.startswith("nst-report: --wandb: not logged in to W&B; run `wandb login`")
        assert not (tmp_path / "outputs").exists()
        assert server.requests == []


def test_saved_for_real(tmp_path: Path) -> None:
    """Offline runs, the advice that is given, and then the server has what was built."""
    tiny = ("image.size=32", "steps=2", "snapshot_every=1", "seed=0,1", "logger.wandb.mode=offline")
    ended = nst("+experiments=two_noises", *tiny, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    recorded = list(tmp_path.glob("outputs/**/offline-run-*/run-*.wandb"))
    assert len({record.parents[2] for record in recorded}) == 3, ended.stderr  # and the sweep's
    server = ReportServer()
    with server:
        ended = nst_report("--wandb", cwd=tmp_path, **server.environment)
        assert ended.returncode == 1, ended.stderr
        assert server.requests == []
        told = ended.stderr.splitlines()[-1]
        assert "2 of 2 runs were recorded offline" in told
        (command,) = re.findall(r"(wandb sync .*)", told)
        wandb, *words = shlex.split(command)
        tool = [str(Path(sys.executable).with_name(wandb)), *words]
        environment = {**os.environ, **server.environment}
        subprocess.run(
            tool, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=LIMIT
        )
        assert len(server.runs) == 2

        ended = nst_report("--wandb", cwd=tmp_path, **server.environment)
        assert ended.returncode == 0, ended.stderr
        report_url, view_url, page = ended.stdout.splitlines()
        assert page == "outputs/report/index.html"
        assert report_url.startswith(server.url)
        report, view = server.views.values()
        assert (report["type"], view["type"]) == ("runs", "project-view")
        for each in (report, view):
            assert (each["entityName"], each["projectName"]) == (ENTITY, "nst")
        assert report["displayName"] == models.TITLE
        assert report["description"] == "2 of 2 runs finished"
        assert view["name"].removeprefix("nw-").removesuffix("-v") in view_url
        spec = json.loads(report["spec"])
        for grid in grids(spec):
            check_filter(grid["runSets"][0], set(server.runs))
        section = json.loads(view["spec"])["section"]
        check_filter(section["runSets"][0], set(server.runs))
        # the keys that panels ask for are those that runs have
        for run in server.runs.values():
            logged = set().union(*run.history.values())
            for panel in [
                *grids(spec)[0]["panelBankSectionConfig"]["panels"],
                *grids(spec)[1]["panelBankSectionConfig"]["panels"],
            ]:
                config = panel["config"]
                assert set(config.get("mediaKeys", [])) <= logged
                assert set(config.get("metrics", [])) <= logged | set(run.summary)
            for key in grids(spec)[1]["runSets"][0]["grouping"]:
                name, *rest = key["name"].split(".")
                assert rest == ["value"]
                assert name in run.config

        # and again: replaced, not doubled
        before = dict(server.views)
        ended = nst_report("--wandb", cwd=tmp_path, **server.environment)
        assert ended.stdout.splitlines() == [report_url, view_url, page]
        assert server.views.keys() == before.keys()
        memory = read_json(tmp_path / "outputs" / "report" / save.SAVED)
        assert list(memory) == [f"{ENTITY}/nst"]

        # what the server refuses
        for run in server.runs.values():
            run.project = "elsewhere"
        ended = nst_report("--wandb", cwd=tmp_path, **server.environment)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        last = ended.stderr.splitlines()[-1]
        assert f"project '{ENTITY}/nst' not found" in last
        assert last.endswith(f"delete outputs/report/{save.SAVED}")


def test_a_study_saved_for_real(tmp_path: Path) -> None:
    """Its trials and its front as the sweep ends, and a workspace with parallel coordinates."""
    outputs, server = tmp_path / "outputs", ReportServer()
    search = (
        *("-m", "hydra/sweeper=optuna", "hydra/launcher=vectorized", "hydra.sweeper.n_trials=4"),
        *("study=s", "objective=[content_distance,ssim]", "layers=report,deep"),
        *("weights.style=tag(log,interval(1e3,1e6))", "image.size=32", "steps=2"),
    )
    with server:
        online = ("snapshot_every=1", "logger.wandb.mode=online")
        ended = nst(*search, *online, cwd=tmp_path, **server.environment)
        assert ended.returncode == 0, ended.stderr
        study = record.read(outputs, "s")
        (summary,) = (run for run in server.runs.values() if run.job_type == "sweep")
        runs = {name: run for name, run in server.runs.items() if run is not summary}
        assert (
            summary.files[summary.history[0]["front"]["path"]]
            == (outputs / "studies/s.png").read_bytes()
        )
        uploaded = server.artifacts[f"run-{summary.id}-trials"]
        table = json.loads(uploaded["trials.table.json"])
        assert table["columns"] == [
            *("trial", "status", "reason", "content_distance", "ssim"),
            *("layers", "weights.style", "final", "run"),
        ]
        for row, trial in zip(table["data"], study.trials, strict=True):
            *numbers, layers, style, final, run = row
            assert numbers == [trial.number, "completed", "", *trial.values]
            assert (style, layers, run) == (
                float(trial.settings["weights.style"]),
                trial.settings["layers"],
                trial.run,
            )
            picture = np.asarray(Image.open(outputs / "runs" / str(run) / "final.png"))
            assert np.array_equal(
                np.asarray(Image.open(io.BytesIO(uploaded[final["path"]]))), picture
            )

        ended = nst_report("compare", "study=s", "--wandb", cwd=tmp_path, **server.environment)
        assert ended.returncode == 0, ended.stderr
        address, page = ended.stdout.splitlines()
        assert page == "outputs/compare/index.html"
        (view,) = server.views.values()
        assert (view["type"], view["displayName"]) == ("project-view", "nst: s")
        assert view["name"].removeprefix("nw-").removesuffix("-v") in address
        section = json.loads(view["spec"])["section"]
        check_filter(section["runSets"][0], set(runs))
        shown = [
            panel for part in section["panelBankConfig"]["sections"] for panel in part["panels"]
        ]
        (coordinates,) = of_type(shown, "Parallel Coordinates Plot")
        keys = {column["accessor"]: column.get("log") for column in coordinates["columns"]}
        assert keys == {
            "config:layers.value.style": None,
            "config:weights.value.style": True,
            "summary:measure/content_distance": None,
            "summary:measure/ssim": None,
        }
        (scatter,) = of_type(shown, "Scatter Plot")
        assert {f"{scatter[axis]}" for axis in ("xAxis", "yAxis")} < keys.keys()
        targets = [panel["targetKey"] for panel in of_type(shown, "Parameter Importance")]
        assert targets == ["measure/content_distance", "measure/ssim"]
        for run in runs.values():  # the keys that panels ask for are those that runs have
            values = {key: node["value"] for key, node in run.config.items()}
            assert len(at(values, "layers.value.style")) > 1
            assert 1e3 <= at(values, "weights.value.style") <= 1e6
            assert {*targets} < {*run.summary}

        # and again: replaced, not doubled
        before = dict(server.views)
        ended = nst_report("compare", "study=s", "--wandb", cwd=tmp_path, **server.environment)
        assert ended.stdout.splitlines() == [address, page]
        assert server.views.keys() == before.keys()
        ended = nst_report("compare", "--wandb", cwd=tmp_path, **server.environment)
        assert ended.returncode == 2
        assert ended.stderr.endswith("study=null: --wandb needs the name of one: study=NAME\n")
