"""W&B as a Lightning logger: a W&B run per instance, our steps, and trouble that stops nothing."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A client that reaches no server would wait for its own error reports when the process ends.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb
from lightning.pytorch.loggers import WandbLogger as LightningWandbLogger
from PIL import Image
from wandb.sdk import wandb_setup

from nst.loggers import wandb_agent, wandb_arguments
from nst.utils.errors import ArgumentError

if TYPE_CHECKING:
    from nst.sweeps.summary_table import Summary

log = logging.getLogger(__name__)

INIT_SECONDS = 5.0
"""A server that has not answered by then is taken for unreachable."""

FINISH_SECONDS = 15.0
"""What is not delivered by then, after the last step, is left for ``wandb sync``."""

MODES = ("online", "offline", "disabled", "shared", "run", "dryrun")
"""That W&B knows; the last two are older names of the first two."""

_unreachable = False
"""Whether W&B failed in this process: later runs do not wait for it again."""


class WandbLogger(LightningWandbLogger):
    """Lightning's logger with one W&B run per instance and W&B's own step set to ours.

    Trouble with W&B never stops a run: without a server it is recorded offline, and one line says
    how to send it later.

    Args:
        save_dir: where the folder ``wandb`` of the run is; None: the current folder.
        mode: ``online``, ``offline`` or ``disabled``; None: WANDB_MODE, then what ``wandb offline``
            set, then online if credentials are found, else offline.
        settings: fields of ``wandb.Settings`` that differ from ours.
        **kwargs: as Lightning's, and as those of ``wandb.init``.

    Raises:
        ArgumentError: for what W&B would not take; no folder, no process and no request is made.
        ConfigError: for a variable of W&B that it would not take.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        mode: str | None = None,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        _forget_empty_variables()
        wandb_arguments.check_environment()
        # mode=, not offline=: Lightning's flag sets WANDB_MODE for the whole process.
        mode = mode or _default_mode()
        if mode not in MODES:
            raise ArgumentError("mode", mode, "must be online, offline, disabled or null")
        # Lightning's default is "allow". Offline, `wandb sync` would then move every step behind
        # those that the server has of an earlier attempt, and we log all of them again.
        kwargs["resume"] = kwargs.get("resume", "allow") if mode == "online" else None
        wandb_setup.singleton().settings.resume = None  # WANDB_RESUME would take its place
        kwargs = wandb_arguments.checked(kwargs, settings or {})
        # The bar has the terminal, and we tell where the run is. finish: the default waits for ever
        ours: dict[str, Any] = {"silent": True, "console": "off"}
        ours |= {"finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
        if mode == "online":  # offline nothing but this machine is waited for, however busy it is
            ours["init_timeout"] = INIT_SECONDS
        # W&B's own process may be another program's (WANDB_SERVICE), begun in another folder
        folder = Path(save_dir or ".").resolve()
        # create_new: a second run in the process would otherwise go on in the first.
        super().__init__(
            save_dir=folder,
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(**(ours | dict(settings or {}))),
            **kwargs,
        )
        self._wandb_init.pop("anonymous")  # wandb warns of it, whatever it is
        self._id = self._wandb_init["id"]
        if (
            wandb_agent.run_id()
        ):  # its run is taken, whatever is said here; saying it makes wandb warn
            self._wandb_init |= {"id": None, "project": None, "entity": None}
            self._wandb_init["group"] = self._wandb_init.get("group") or wandb_agent.sweep()
        self._broken = self._ended = False
        self._sync = ""  # what `wandb sync` needs to be told besides the folder

    @property
    def experiment(self) -> Any:
        """The ``wandb.Run``; offline if there is no server, or it refuses the key."""
        if self._experiment is None and self._wandb_init["mode"] == "online":
            if _unreachable:
                self._go_offline()
            else:
                try:
                    run = super().experiment
                except Exception as error:  # W&B's own types, ValueError for a key, OSError …
                    self._give_up(error)
                else:
                    log.info("W&B: %s", run.url)
        return super().experiment

    def _give_up(self, error: Exception) -> None:
        global _unreachable
        _unreachable = True
        # the attempt holds nothing but the run's name
        for attempt in Path(self._wandb_init["dir"]).glob(f"wandb/run-*-{self._id}"):
            if not list(attempt.glob("files/media")):
                shutil.rmtree(attempt, ignore_errors=True)
        reason = " ".join(str(error).split())
        log.warning("W&B: %s; the run goes on offline, and so do those after it", reason)
        self._go_offline()
        # the client still holds the id that could not be had, and in a sweep would insist on it
        wandb.setup().settings.sweep_id = None
        self._wandb_init["id"] = f"{self._id}-offline"
        self._sync = f"--id {self._id} "

    def _go_offline(self) -> None:
        # a run that resumes offline would have its steps moved behind those that the server knows
        self._wandb_init |= {"mode": "offline", "resume": None}
        settings = self._wandb_init["settings"]
        settings.resume = None  # the attempt that failed has set it
        if settings.init_timeout == INIT_SECONDS:
            settings.init_timeout = wandb.Settings().init_timeout

    @contextmanager
    def _unharmed(self) -> Iterator[None]:
        """Whatever happens inside, the optimisation goes on."""
        try:
            yield
        except Exception as error:
            self._broken = True
            reason = " ".join(str(error).split()) or type(error).__name__
            log.warning("logging to W&B is disabled for the rest of this run: %s", reason)

    def log_hyperparams(self, params: Any) -> None:
        """Tells W&B the config; what a W&B sweep has set stays as it is."""
        with self._unharmed():
            super().log_hyperparams(wandb_agent.beside(params, wandb_agent.parameters()))

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs at W&B's step ``step``, so that media of all runs slide together."""
        if self._broken or self._ended:
            return
        with self._unharmed():
            if step is not None:
                metrics = {**metrics, "trainer/global_step": step}  # Lightning's x axis
            if step is None or step >= self.experiment.starting_step:  # else the server has it
                self.experiment.log(metrics, step=step)

    def log_sweep(self, summary: Summary) -> None:
        """Logs what a sweep came to, as a W&B run of its own, and ends that.

        Its folder gets a link to the W&B files of every run, so that one path shows or sends all.
        """
        self._wandb_init["job_type"] = "sweep"  # beside those of its runs, which are tasks
        self._wandb_init["notes"] = summary.note or None
        rows = summary.rows
        with self._unharmed(), self._staged_here():
            table = wandb.Table(columns=list(rows[0]), data=[_cells(row) for row in rows])
            logged: dict[str, Any] = {"runs": table}
            if summary.picture is not None:
                logged["side_by_side"] = wandb.Image(str(summary.picture))
            self.experiment.log(logged, step=0)
        self.finalize("success")
        with suppress(OSError):  # a file system without links
            _link(Path(self._wandb_init["dir"]) / "wandb", summary.folders)

    @contextmanager
    def _staged_here(self) -> Iterator[None]:
        """Pictures of a table lie with the run until they are uploaded, not in the user's home."""
        if "WANDB_DATA_DIR" in os.environ:
            yield
            return
        os.environ["WANDB_DATA_DIR"] = self.experiment.settings.sync_dir
        try:
            yield
        finally:
            del os.environ["WANDB_DATA_DIR"]

    def finalize(self, status: str) -> None:
        """Ends the W&B run as well, which Lightning leaves open."""
        if self._experiment is None or self._ended:
            return
        super().finalize(status)
        self._ended = True
        run, late = self._experiment, False
        with self._unharmed():
            try:
                run.finish(exit_code=0 if status == "success" else 1)
            except TimeoutError:
                late = True
        if run.settings.mode == "offline":
            folder = os.path.relpath(run.settings.sync_dir)
            log.info("W&B: offline; wandb sync %s%s", self._sync, folder)
        elif run.settings.mode == "online" and (late or _refused(run)):
            self._tell_late(os.path.relpath(run.settings.sync_dir))

    def _tell_late(self, folder: str) -> None:
        global _unreachable
        _unreachable = True
        told = "W&B: not everything could be delivered; later: wandb sync --include-online %s"
        log.warning(told, folder)


def _cells(row: dict[str, Any]) -> list[Any]:
    """A row's values; pictures are decoded one at a time, and kept by W&B as files."""
    values = (cell() if callable(cell) else cell for cell in row.values())
    return [wandb.Image(value) if isinstance(value, Image.Image) else value for value in values]


def _link(folder: Path, runs: Sequence[Path]) -> None:
    """Links to the W&B files of runs, by the names that they have: `wandb leet` takes no others."""
    for run in runs:
        for kept in run.glob("wandb/*run-*-*"):
            link = folder / kept.name
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(kept.resolve(), folder.resolve()))


def _refused(run: Any) -> bool:
    """Whether the server ended the stream, as with a key that is no longer good, or a table."""
    record = Path(run.settings.sync_dir) / "logs" / "debug-internal.log"  # nothing else says so
    try:
        told = record.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "filestream: fatal error" in told or "failed to log artifact" in told


def _forget_empty_variables() -> None:
    """An empty variable counts as not set; W&B would refuse WANDB_TAGS= as an empty tag, say."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        if not os.environ[name]:
            del os.environ[name]


def _default_mode() -> str:
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    settings = wandb_setup.singleton().settings
    if settings.mode != "online":  # set by `wandb offline` or `wandb disabled`
        return settings.mode
    settings.x_disable_viewer = settings.silent = True  # it would ask the server who we are
    try:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except Exception:  # a key that cannot be one: told when the run is to begin
        return "online"
