"""Every command of README and docs: ``nst`` runs it, tiny, or its program's parser takes it."""

from __future__ import annotations

import argparse
import importlib.util
import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write
from PIL import Image

from nst.cli import hydra_flags, report
from nst.config.arguments import config_dirs, for_hydra
from nst.config.compose import conf_dir, to_config
from nst.config.overrides import quoted
from nst.config.schema import Config
from nst.runner.inputs import prepare
from nst.runner.signature import signature
from nst.sweeps.job_list import expected_jobs
from tests.documented import PAGES, ROOT, Command, all_commands, fences
from tests.helpers import execute, resolved, tiny

OTHERS = frozenset(
    [
        ".",
        "cd",
        "curl",
        "docker",
        "eval",
        "mlflow",
        "pdflatex",
        "ray",
        "source",
        "tensorboard",
        "trap",
        "wait",
    ]
)
"""Programs of others, whose commands no test looks at."""

FILES = ("photos/cat.jpg", "photos/dog.jpg", "paintings/sea.jpg", "PHOTO", "PAINTING")
"""Pictures in the folder where commands run, besides those that the commands name."""

_PICTURE = re.compile(r"[\w ./]+\.(?:jpg|png)")

SIZE, STEPS = 64, 4

TABLE = "content,style\nphotos/cat.jpg,paintings/sea.jpg\n"

LAUNCHERS = {"vectorized_slurm": "hydra-submitit-launcher", "vectorized_ray": "hydra-ray-launcher"}
"""Options that need a package which tests do without: ``make scale`` runs them."""


def test_blocks_with_commands_are_marked_sh() -> None:
    known = {"", "sh", "python", "yaml", "json", "latex"}
    assert {language for page in PAGES for language, _, _ in fences(page)} <= known
    assert len(all_commands("nst")) > 50


def test_every_program_is_known() -> None:
    known = {"nst", "nst-report", "make", "python", "pip", "wandb", *OTHERS}
    assert [str(each) for each in all_commands() if each.program not in known] == []


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that the commands name, each half white and half black."""
    folder = tmp_path_factory.mktemp("pictures")
    words = [word for command in all_commands("nst") for word in command.arguments]
    named = [name for word in words for name in _PICTURE.findall(word)]
    assert {"photo.jpg", "a.jpg", "b.jpg", "sky.png", "my painting.jpg"} <= {*named}
    for name in {*FILES, *named}:
        levels = np.zeros((40, 40, 3), np.uint8)
        levels[:, :20] = 255
        picture = Image.fromarray(levels)
        if name == "regions.png":
            levels[:10] = 128
            picture = Image.fromarray(levels).quantize(3)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        picture.save(path, "png")
    (folder / "table.csv").write_text(TABLE)
    option = folder / "my_conf/style_loss/histograms.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(in_docs("losses.md", "my_losses.Histograms"))
    (folder / "my_losses.py").write_text(in_docs("losses.md", "class Histograms"))
    return folder


@pytest.mark.parametrize("command", all_commands("nst"), ids=str)
def test_nst_runs(
    command: Command, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of a command, or its first and its last job: few steps, few pixels."""
    monkeypatch.chdir(pictures)
    monkeypatch.syspath_prepend(pictures)
    if command.arguments == ["--version"]:
        with pytest.raises(SystemExit, match=r"^0$"):
            hydra_flags.check(command.arguments)
        return
    configs = composed(command.arguments)
    assert configs
    for config in configs:
        tiny_config = shrunk(config, tmp_path)
        (folder,) = execute([resolved(prepare(tiny_config), weights=tiny())])
        assert (folder / "final.png").is_file()


def test_the_tutorial_shows_the_folder_of_its_run() -> None:
    """A default that changes, changes its signature; shown is the one in float32."""
    first = next(each for each in all_commands("nst") if each.page.endswith("tutorial.md"))
    (config,) = composed(first.arguments)
    run = resolved(prepare(config), precision="32")
    assert f"-{signature(run)}\n" in (ROOT / "docs/tutorial.md").read_text("utf-8")


def shrunk(config: Config, outputs: Path) -> Config:
    """The config with few pixels and steps. W&B, and what a profiler prints, are left to others."""
    loggers = {name: logger for name, logger in config.logger.items() if name == "csv"}
    return replace(
        config,
        image=replace(config.image, size=SIZE),
        steps=STEPS,
        logger=loggers,
        outputs=str(outputs),
    )


def in_docs(page: str, part: str) -> str:
    """The one block of a page that has this part."""
    (text,) = [text for _, text, _ in fences(ROOT / "docs" / page) if part in text]
    return text


def composed(arguments: list[str]) -> list[Config]:
    """The checked config of a command's run, or those of its first and its last job.

    Raises:
        Exception: of Hydra or ``nst``, for what is wrong.
    """
    places = config_dirs(arguments)
    words = [
        for_hydra(each, places) for each in arguments if each not in ("-m", "--config-dir", *places)
    ]
    words += [f"hydra.searchpath=[{quoted(f'file://{Path(each).resolve()}')}]" for each in places]
    if not installed(words):
        words = [
            each for each in words if "hydra/launcher=" not in each and "launcher." not in each
        ]
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        sweep = hydra.compose_config("config", words, RunMode.MULTIRUN)
        if "-m" not in arguments and sweep.hydra.mode != RunMode.MULTIRUN:
            return [checked(hydra.compose_config("config", words, RunMode.RUN))]
        jobs = expected_jobs(sweep, hydra.config_loader) or [plain(words)]
        load = hydra.config_loader.load_sweep_config
        return [checked(load(sweep, job)) for job in (jobs[0], jobs[-1])]


def installed(words: list[str]) -> bool:
    """Whether the launcher that a command chooses can be composed here."""
    for option, package in LAUNCHERS.items():
        if f"hydra/launcher={option}" in words:
            try:
                distribution(package)
            except PackageNotFoundError:
                return False
    return True


def plain(words: list[str]) -> list[str]:
    """Those of a search's overrides that are no search space."""
    parsed = OverridesParser.create().parse_overrides(words)
    return [
        each.input_line
        for each in parsed
        if each.input_line and not each.is_sweep_override() and not each.is_hydra_override()
    ]


def checked(cfg: DictConfig) -> Config:
    with read_write(cfg), open_dict(cfg):
        cfg.pop("hydra", None)
        cfg.pairs = None  # jobs have its rows
    return to_config(cfg)


class Parsed(Exception):  # noqa: N818 - no error: a parser has taken what it got
    """Raised in the place of what a command does after its arguments are parsed."""


@contextmanager
def only_parsing() -> Iterator[list[argparse.Namespace]]:
    """Until its end, each parser stops its program when it has parsed; what they have parsed."""
    found: list[argparse.Namespace] = []

    def stopping(method: Callable[..., argparse.Namespace]) -> Callable[..., Any]:
        def parse(*arguments: Any, **named: Any) -> None:
            found.append(method(*arguments, **named))
            raise Parsed

        return parse

    with pytest.MonkeyPatch.context() as patch:
        for name in ("parse_args", "parse_intermixed_args"):
            method = getattr(argparse.ArgumentParser, name)
            patch.setattr(argparse.ArgumentParser, name, stopping(method))
        yield found


@pytest.mark.parametrize("command", all_commands("nst-report"), ids=str)
def test_nst_report_takes_its_arguments(command: Command) -> None:
    with only_parsing() as found, pytest.raises(Parsed):
        report.report(command.arguments)
    if command.arguments[:1] != ["report"]:
        assert command.arguments[0] in report.COMMANDS
        return
    names = [word for word in found[0].words if "=" not in word]
    overrides = [word for word in found[0].words if "=" in word]
    known = report._of_report(found[0].report, report.declarations(None))
    assert set(names) <= set(known)
    if found[0].run:
        assert composed([f"+experiments={(names or known)[0]}", *overrides])


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


@pytest.mark.parametrize("command", all_commands("make"), ids=str)
def test_make_has_the_target(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    names = [word for word in command.arguments if "=" not in word]
    assert names
    assert set(names) <= targets()
    for variable, _, value in (word.partition("=") for word in command.arguments if "=" in word):
        assert re.search(rf"\$\((if )?\$?\(?{variable}\b", makefile), variable
        if variable == "REPORT" and names == ["report"]:
            assert report._of_report(value, report.declarations(None))


@pytest.mark.parametrize("command", all_commands("python"), ids=str)
def test_python_modules_take_their_arguments(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.arguments[0] == "-m"
    module, *arguments = command.arguments[1:]
    if module == "venv":
        return
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        module = f"{module}.__main__"
        spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    text = Path(spec.origin).read_text("utf-8")
    assert 'if __name__ == "__main__":' in text
    if "parse_args()" not in text:
        assert arguments == []
        return
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with only_parsing(), pytest.raises(Parsed):
        runpy.run_module(module, run_name="__main__")


@pytest.mark.parametrize("command", all_commands("pip"), ids=str)
def test_pip_installs_an_extra_that_exists(command: Command) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (names,) = re.findall(r"(?:nst|\.)\[([\w,]+)\]", " ".join(command.arguments))
    assert {*names.split(",")} <= {*extras["optional-dependencies"]}


@pytest.mark.parametrize("command", all_commands("wandb"), ids=str)
def test_files_of_wandb_sweeps_exist(command: Command) -> None:
    if command.arguments[0] == "sweep":
        assert (ROOT / command.arguments[1]).is_file()
