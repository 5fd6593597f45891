"""Flags of the commands: the version, and in one line what is wrong with others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hydra._internal.utils import get_args_parser

from nst import __version__
from nst.cli.main import invoke
from nst.cli.report import report

Command = Callable[[Sequence[str]], int]


@pytest.mark.parametrize("command", [invoke, report])
def test_version(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nst"])
    assert command(["--version"]) == 0
    assert capsys.readouterr() == (f"nst {__version__}\n", "")


def test_python_3_14(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its argparse checks help texts as they are added, and one of Hydra's is no string."""

    def check(self: argparse.ArgumentParser, action: argparse.Action) -> None:
        if action.help and "%" not in action.help:
            return

    def add(
        self: argparse.ArgumentParser,
        *names: str,
        _add: Any = argparse.ArgumentParser.add_argument,
        **given: Any,
    ) -> argparse.Action:
        action: argparse.Action = _add(self, *names, **given)
        self._check_help(action)  # type: ignore[attr-defined]
        return action

    container: Any = argparse._ActionsContainer
    monkeypatch.setattr(container, "_check_help", check, raising=False)
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", add)
    monkeypatch.setattr(sys, "argv", ["nst"])
    assert invoke(["--hydra-help"]) == 0
    assert "--shell-completion" in capsys.readouterr().out
    with pytest.raises(TypeError):
        get_args_parser()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--nosuch"], "unrecognized arguments: --nosuch; see nst --hydra-help"),
        (["seed=1", "--cfg"], "argument --cfg/-c: expected one argument; see nst --hydra-help"),
        (["-m", "-x=1\n2", "seed=1"], r"unrecognized arguments: -x=1\n2; see nst --hydra-help"),
        (["-sc", "install=csh"], "No completion plugin for 'csh' found, available : bash fish zsh"),
        (["-sc"], "Expecting one subcommand from ['install', 'uninstall', 'query'] to be set"),
    ],
)
def test_wrong_flags(
    arguments: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["nst"])
    assert invoke(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nst: ")
    assert err.count("\n") == 1
    assert problem in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--nosuch"], "nst-report report: unrecognized arguments: --nosuch"),
        (["compare", "--outputs"], "nst-report compare: argument --outputs: expected one argument"),
        (["vote", "--port", "x"], "nst-report vote: argument --port: invalid int value: 'x'"),
        (["measure"], "nst-report measure: the following arguments are required: FOLDER"),
    ],
)
def test_wrong_flags_of_the_report(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        report(arguments)
    assert ended.value.code == 2
    command = problem.partition(":")[0]
    assert capsys.readouterr() == ("", f"{problem}; see {command} --help\n")
