"""Finished runs by the overrides of their jobs: a sweep that is run again need not compose them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import __version__
from nst.config.job_overrides import split as key_and_value
from nst.config.keys import file_keys, value_of
from nst.runner import experiment_jobs
from nst.runner.identify import folder_of, is_finished
from nst.runner.outcome import FINISHED_BEFORE
from nst.runner.plan import Plan
from nst.runner.record import finished
from nst.runner.resolve import bfloat16_devices
from nst.runner.signature import SIGNATURE_VERSION
from nst.sweeps import sweep_folder
from nst.sweeps.sweep import recorded
from nst.sweeps.sweep_folder import JobOutcome
from nst.transfer.run import Run
from nst.utils import agent
from nst.utils.files import BUILTIN, absolute

log = logging.getLogger(__name__)

PLACE = "finished"

OTHER = ("force", "retry", "outputs", "objective", "trial", "run", "hydra")
"""Keys and groups whose overrides do more than to determine the picture."""

MOST_FOLDERS, MOST_CONFIGS = 500, 2000
"""More are not read: such as where the folder of configs is that of a whole project."""

OUR_CALLBACKS = {"drop_configs"}

File = tuple[str, int, int]
"""Path, time of the last change in ns, and bytes."""


class FinishedJobs:
    """Remembers the run folders of finished jobs, in a file for all sweeps with the same config.

    What is remembered of a job holds as long as its overrides, the config of the sweep, all config
    files, its pictures, the versions of nst and Hydra and the devices with bfloat16 are the same.

    Args:
        config: of the sweep, ``hydra`` included.
    """

    def __init__(self, config: DictConfig) -> None:
        self._cwd = str(config.hydra.runtime.cwd)
        self._sweep = Path(str(config.hydra.sweep.dir))
        self._outputs = Path(str(config.outputs))
        self._config = config
        other = config.force or config.retry or config.objective or agent.run_id()
        # a callback of the user's is called for every job
        other = other or set(config.hydra.callbacks or {}) - OUR_CALLBACKS
        self._base = None if other else _base(config)
        self._file = self._outputs / PLACE / f"{self._base}.jsonl" if self._base else None

    def folders(self, jobs: Mapping[int, Sequence[str]]) -> dict[int, Path]:
        """The folders of those of the jobs that are known to be finished."""
        known = self._read()
        stat = lru_cache(maxsize=None)(_file)
        found = {}
        for number, overrides in jobs.items():
            name, files = known.get(_key(overrides), (None, []))
            if name is None or any(stat(each[0]) != each for each in files):
                continue
            folder = self._outputs / "runs" / name
            if finished(folder):
                found[number] = folder
        return found

    def finish(self, jobs: Mapping[int, Sequence[str]], plan: Plan) -> dict[int, JobReturn]:
        """Records those of the jobs that are known to be finished.

        Args:
            jobs: overrides of each job, by its number.
            plan: of the sweep.

        Returns:
            Their returns.
        """
        found = self.folders(jobs)
        if found:
            log.info("%d of %d jobs finished before", len(found), len(jobs))
        for number, folder in found.items():
            plan.end(number)
            sweep_folder.record(self._sweep, JobOutcome(number, FINISHED_BEFORE, folder))
            sweep = recorded(self._sweep, jobs[number])
            experiment_jobs.renew(folder, self._outputs, jobs[number], sweep)
        return {
            number: JobReturn(_return_value=str(folder), status=JobStatus.COMPLETED)
            for number, folder in found.items()
        }

    def _read(self) -> dict[str, tuple[str, list[File]]]:
        found: dict[str, tuple[str, list[File]]] = {}
        if self._file is None or not self._file.exists():
            return found
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            # several processes may have written at the same time
            with suppress(ValueError, TypeError, KeyError):
                record = json.loads(line)
                files = [(str(path), int(time), int(size)) for path, time, size in record["files"]]
                found[_key(record["job"])] = (str(record["folder"]), files)
        return found

    def remember(self, runs: Sequence[tuple[Sequence[str], Run, list[File] | None]]) -> None:
        """Appends those of the runs that are finished.

        Args:
            runs: overrides of a job, its run, and the files that it read, as ``files`` found them
                when it had read them: they may have changed since.
        """
        # config files may have changed while the jobs were composed
        if self._file is None or _base(self._config) != self._base:
            return
        lines = []
        for overrides, run, files in runs:
            folder = folder_of(run)
            is_own = folder.parent == self._outputs / "runs"
            if files is None or not is_own or not _is_plain(overrides) or not is_finished(run):
                continue
            record = {"job": [*overrides], "folder": folder.name, "files": files}
            lines.append(f"{json.dumps(record)}\n")
        if lines:
            self._file.parent.mkdir(exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write("".join(lines))

    def files(self, run: Run) -> list[File] | None:
        """The files that a run reads; None if one of them is not found by its name."""
        found = []
        for name in sorted(file_keys()):
            value = value_of(run.config, name)
            for path in value if isinstance(value, list) else [value]:
                if path is None or str(path).startswith(BUILTIN):
                    continue
                file = _file(str(absolute(str(path), self._cwd)))
                if file is None:
                    return None
                found.append(file)
        return found


def _key(overrides: Sequence[str]) -> str:
    return json.dumps([*overrides])


def _is_plain(overrides: Sequence[str]) -> bool:
    """Whether overrides say the same at any time, and nothing but which picture is asked for."""
    for each in overrides:
        found = key_and_value(each)
        if found is None or "$" in each:  # an interpolation, however it is escaped
            return False
        if found[0].replace("/", ".").partition(".")[0] in OTHER:
            return False
    return True


def _file(path: str) -> File | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return path, found.st_mtime_ns, found.st_size


def _config_files(sources: Any) -> list[tuple[str, str]] | None:
    """The texts of all configs by their paths; None if a folder has much besides configs."""
    found: list[tuple[str, str]] = []
    for source in sources:
        if source.schema != "file":
            continue
        folders = os.walk(source.path, followlinks=True)
        for count, (folder, _, names) in enumerate(folders):
            if count > MOST_FOLDERS or len(found) > MOST_CONFIGS:
                return None
            for path in (Path(folder, name) for name in names if name.endswith(".yaml")):
                found.append((str(path), path.read_text(encoding="utf-8", errors="replace")))
    return sorted(found)


def _base(config: DictConfig) -> str | None:
    """Hash of all that determines the picture of a job but its overrides; None: not known."""
    plain = config.copy()
    OmegaConf.set_readonly(plain, False)
    OmegaConf.set_struct(plain, False)
    plain.pop("hydra")
    try:
        resolved: Any = OmegaConf.to_container(plain, resolve=True)
    except OmegaConfBaseException:
        return None
    texts = _config_files(config.hydra.runtime.config_sources)
    if texts is None:
        return None
    variables = {name for _, text in texts for name in re.findall(r"oc\.env:\s*(\w+)", text)}
    facts = {
        "config": resolved,
        "files": texts,
        "environment": {name: os.environ.get(name) for name in sorted(variables)},
        "cwd": str(config.hydra.runtime.cwd),
        "versions": [__version__, metadata.version("hydra-core"), SIGNATURE_VERSION],
        "bfloat16": bfloat16_devices(),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
