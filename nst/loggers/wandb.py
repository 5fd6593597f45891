"""Weights & Biases: online, or offline for a later upload."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Without a network the client would wait for its own error reports when the process ends.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb
from lightning.pytorch.loggers import WandbLogger as LightningWandbLogger
from PIL import Image
from wandb.sdk import wandb_setup

from nst.loggers import wandb_agent, wandb_arguments
from nst.loggers.base import SafeLogger, guarded
from nst.utils import agent, own_process
from nst.utils.errors import ArgumentError
from nst.utils.files import relative

if TYPE_CHECKING:
    from nst.sweeps.summary_table import Summary

log = logging.getLogger(__name__)

INIT_SECONDS = 5.0
"""A server that does not answer for this long is unreachable."""

FINISH_SECONDS = 15.0
"""After the last step a run waits this long for its upload; ``wandb sync`` uploads the rest."""

MODES = ("online", "offline", "disabled", "shared", "run", "dryrun")
"""The modes of W&B; the last two are older names of the first two."""

_unreachable = False
"""Whether W&B has failed in this process: later runs do not wait for it again."""


class WandbLogger(SafeLogger, LightningWandbLogger):
    """Lightning's logger with one W&B run per instance, and with our step as W&B's own step.

    If the server cannot be reached, the run is recorded offline, and a message names the command
    that uploads it later.

    Args:
        save_dir: folder of the run, in which W&B makes its folder ``wandb``; None: the current one.
        mode: ``online``, ``offline`` or ``disabled``; None: WANDB_MODE, then what ``wandb offline``
            set, then online if credentials are found, else offline.
        settings: fields of ``wandb.Settings``; they override ours.
        **kwargs: as of Lightning's logger and of ``wandb.init``.

    Raises:
        ArgumentError: for an argument that W&B would refuse. No folder, process or request is made.
        ConfigError: for an environment variable that W&B would refuse.
    """

    tracker = "W&B"

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        mode: str | None = None,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        _drop_empty_variables()
        wandb_arguments.check_environment()
        # mode=, not offline=: Lightning's flag sets WANDB_MODE for the whole process.
        mode = mode or _default_mode()
        if mode not in MODES:
            raise ArgumentError("mode", mode, "must be online, offline, disabled or null")
        # Lightning's default is "allow". Offline, `wandb sync` would then number the steps on from
        # those that the server has of an earlier attempt, although all of them are logged again.
        kwargs["resume"] = kwargs.get("resume", "allow") if mode == "online" else None
        wandb_setup.singleton().settings.resume = None  # else WANDB_RESUME would replace it
        kwargs = wandb_arguments.checked(kwargs, settings or {})
        # silent: the progress bar has the terminal. finish: W&B's default waits without a limit.
        ours: dict[str, Any] = {"silent": True, "console": "off"}
        ours |= {"finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
        if mode == "online":  # offline, only W&B's local process is waited for, which may be slow
            ours["init_timeout"] = INIT_SECONDS
        if agent.run_id():  # W&B's default is SIGINT, which would be Ctrl-C beside SIGTERM
            ours["stop_fn"] = own_process.terminate
        # absolute: WANDB_SERVICE may name another program's W&B process, in another folder
        folder = Path(save_dir or ".").resolve()
        # create_new: a second run of the process would otherwise continue the first
        super().__init__(
            save_dir=folder,
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(**(ours | dict(settings or {}))),
            **kwargs,
        )
        self._wandb_init.pop("anonymous")  # deprecated: wandb warns of any value
        self._id = self._wandb_init["id"]
        if agent.run_id():  # the agent's run is used in any case; wandb warns of other values
            self._wandb_init |= {"id": None, "project": None, "entity": None}
            self._wandb_init["group"] = self._wandb_init.get("group") or wandb_agent.sweep()
        self._sync = ""  # options of `wandb sync`

    def _start(self) -> Any:
        """Returns the ``wandb.Run``; offline if there is no server, or it refuses the key."""
        if self._experiment is None and self._wandb_init["mode"] == "online":
            if _unreachable:
                self._go_offline()
            else:
                try:
                    run = super()._start()
                except Exception as error:  # W&B's own types, ValueError for a key, OSError …
                    self._give_up(error)
                else:
                    log.info("W&B: %s", run.url)
        return super()._start()

    def _give_up(self, error: Exception) -> None:
        global _unreachable
        _unreachable = True
        # the attempt has logged nothing
        for attempt in Path(self._wandb_init["dir"]).glob(f"wandb/run-*-{self._id}"):
            if not list(attempt.glob("files/media")):
                shutil.rmtree(attempt, ignore_errors=True)
        reason = " ".join(str(error).split())
        log.warning("W&B: %s; this run and the next ones are recorded offline", reason)
        self._go_offline()
        # The client still holds the id of the failed attempt, and would insist on an agent's id.
        wandb.setup().settings.sweep_id = None
        self._wandb_init["id"] = f"{self._id}-offline"
        self._sync = f"--id {self._id} "

    def _go_offline(self) -> None:
        self._wandb_init |= {"mode": "offline", "resume": None}  # for resume see __init__
        settings = self._wandb_init["settings"]
        settings.resume = None  # the failed attempt has set it
        if settings.init_timeout == INIT_SECONDS:
            settings.init_timeout = wandb.Settings().init_timeout

    @guarded
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Logs the config, nested dicts; values that a W&B sweep has set stay as they are."""
        super().log_hyperparams(wandb_agent.beside(params, wandb_agent.parameters()))

    @guarded
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs at W&B's step ``step``, so that one slider moves the media of all runs."""
        if step is not None:
            metrics = {**metrics, "trainer/global_step": step}  # Lightning's x axis
        if step is None or step >= self.experiment.starting_step:  # else the server has it
            self.experiment.log(metrics, step=step)

    @guarded
    def log_image(
        self, key: str, images: Sequence[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Logs images as Lightning's logger does."""
        LightningWandbLogger.log_image(self, key, list(images), step, **kwargs)

    def log_sweep(self, summary: Summary) -> None:
        """Logs the table of a sweep as a W&B run of its own, and ends that run.

        Its folder gets links to the W&B files of all runs of the sweep, so that one path shows or
        uploads them all.
        """
        self._wandb_init["job_type"] = "sweep"  # the runs have their task
        self._wandb_init["notes"] = summary.note or None
        self._log_table(summary)
        self.finalize("success")
        with suppress(OSError):  # a file system without links; Windows may refuse them
            _link(Path(self._wandb_init["dir"]) / "wandb", summary.folders)

    @guarded
    def _log_table(self, summary: Summary) -> None:
        with self._staged_here():
            tables = {"runs": summary.rows, "trials": summary.trials}
            pictures = {"side_by_side": summary.picture, "front": summary.front}
            logged = {name: _table(rows) for name, rows in tables.items() if rows}
            logged |= {name: wandb.Image(str(path)) for name, path in pictures.items() if path}
            self.experiment.log(logged, step=0)

    @contextmanager
    def _staged_here(self) -> Iterator[None]:
        """Keeps the pictures of a table with the run until they are uploaded.

        W&B's default is a folder in the user's home.
        """
        if "WANDB_DATA_DIR" in os.environ:
            yield
            return
        os.environ["WANDB_DATA_DIR"] = self.experiment.settings.sync_dir
        try:
            yield
        finally:
            del os.environ["WANDB_DATA_DIR"]

    def _close(self, status: str) -> None:
        """Ends the W&B run, which Lightning leaves open, and names the command that uploads it."""
        run, late = self._experiment, False
        if run is None:
            return
        with self.guard():
            super()._close(status)
            try:
                run.finish(exit_code=0 if status == "success" else 1)
            except TimeoutError:
                late = True
        folder = relative(Path(run.settings.sync_dir), Path.cwd())
        if run.settings.mode == "offline":
            log.info("W&B: offline; to upload: wandb sync %s%s", self._sync, folder)
        elif run.settings.mode == "online" and (late or _refused(run)):
            global _unreachable
            _unreachable = True
            message = "W&B: the upload is incomplete; to repeat it: wandb sync --include-online %s"
            log.warning(message, folder)


def _table(rows: Sequence[dict[str, Any]]) -> Any:
    return wandb.Table(columns=list(rows[0]), data=[_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[Any]:
    """Returns a row's values. Pictures are decoded one at a time, and W&B keeps them as files."""
    values = (cell() if callable(cell) else cell for cell in row.values())
    return [wandb.Image(value) if isinstance(value, Image.Image) else value for value in values]


def _link(folder: Path, runs: Sequence[Path]) -> None:
    """Makes links to the W&B files of runs, with the same names: `wandb leet` needs them."""
    for run in runs:
        for kept in run.glob("wandb/*run-*-*"):
            link = folder / kept.name
            link.unlink(missing_ok=True)
            target = os.path.relpath(kept.resolve(), folder.resolve())
            link.symlink_to(target, target_is_directory=True)


def _refused(run: Any) -> bool:
    """Whether the server ended the upload, for example because the key is no longer valid."""
    record = Path(run.settings.sync_dir) / "logs" / "debug-internal.log"  # the only trace of it
    try:
        text = record.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "filestream: fatal error" in text or "failed to log artifact" in text


def _drop_empty_variables() -> None:
    """Treats empty variables as unset; W&B would refuse ``WANDB_TAGS=`` as an empty tag."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        if not os.environ[name]:
            del os.environ[name]


def _default_mode() -> str:
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    settings = wandb_setup.singleton().settings
    if settings.mode != "online":  # set by `wandb offline` or `wandb disabled`
        return settings.mode
    settings.x_disable_viewer = settings.silent = True  # else it asks the server for the user
    try:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except Exception:  # a malformed key, which is reported when the run begins
        return "online"
