"""What releases are made of: the version, the workflows of GitHub, the container."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from nst import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

if not WORKFLOWS:
    pytest.skip("an sdist has neither workflows nor a Dockerfile", allow_module_level=True)


def test_one_place_has_the_version() -> None:
    """No other file of the package repeats it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    files = [path for folder in ("nst", "hydra_plugins") for path in (ROOT / folder).rglob("*.py")]
    number = re.compile(rf"""["'](nst )?{re.escape(__version__)}["']""")
    found = [path.relative_to(ROOT) for path in files if number.search(path.read_text())]
    assert found == [Path("nst/__init__.py")]


def test_workflows_have_the_schema_of_github() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    ended = subprocess.run(
        [*command, "vendor.github-workflows", *WORKFLOWS], capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stdout.decode()


@pytest.mark.parametrize(("name", "job"), [("ci", "test"), ("release", "test")])
def test_every_python_of_the_classifiers_is_tested(name: str, job: str) -> None:
    workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    tested = workflow["jobs"][job]["strategy"]["matrix"]["python-version"]
    prefix = "Programming Language :: Python :: "
    declared = [each.removeprefix(prefix) for each in PROJECT["classifiers"] if prefix in each]
    assert tested == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"


def _stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile, with those of the stages before it."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        word, rest = line.split(" ", 1)
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = [*stages.get(base, [])]
        elif stages:
            stages[[*stages][-1]].append((word, rest))
    return stages


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_container_runs_nst_without_rights(target: str) -> None:
    words: dict[str, Any] = dict(_stages()[target])  # the last instruction of each kind
    assert words["ENTRYPOINT"] == '["nst"]'
    assert words["USER"] == "1000"
    assert words["VOLUME"] == f"{words['WORKDIR']}/outputs"
    runs = [rest for word, rest in _stages()[target] if word == "RUN"]
    assert any(f"chown nst:nst {words['VOLUME']}" in each for each in runs)
    assert any("pip install" in each and "/wheels/*.whl" in each for each in runs)
    assert any("TORCH_INDEX" in each for each in runs) == (target == "cpu")


def test_the_container_is_made_from_all_that_the_wheel_needs() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = hatch["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], "experiments", "pyproject.toml"}
    assert kept == needed | {PROJECT["readme"], *PROJECT["license-files"]}
