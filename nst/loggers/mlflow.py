"""MLflow as a Lightning logger that takes pictures: one store for all runs, or a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# An unreachable server would hold up the run for minutes; nobody asked for reports of how it is
# used; and what it says of databases and addresses would hide what the run says.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import MLFlowLogger as LightningMLFlowLogger
from PIL import Image

from nst.loggers import require
from nst.loggers.isolation import Unharmed
from nst.utils.errors import ArgumentError

logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # we say it, once

IDENTITY = "nst.id"
"""Tag by which a run that was broken off is found again."""

SEND_SECONDS = 2.0
"""Rows wait this long for others: a request of its own makes a row ten times as dear."""

LARGEST_BATCH = 1000
"""Metrics that MLflow takes in one request."""


class MLFlowLogger(LightningMLFlowLogger):
    """Lightning's logger with pictures and our tags, and with one MLflow run per run.

    A run that was broken off takes the place of its first attempt, which is deleted; MLflow would
    keep a step twice that is logged twice. Trouble with MLflow stops no run: its folder has all.

    Args:
        save_dir: where the store is without a server.
        identity: what no other run has, and every attempt at this one.
        tags: ``key=value``.
        params: parameters, few and short: MLflow writes them all above each picture, in a line that
            makes the picture's cell as wide. The whole config would leave no room for pictures.
        group: what the run belongs to; None: nothing.
        tracking_uri: of a server or a database; None: MLFLOW_TRACKING_URI, or else a SQLite file in
            ``save_dir`` with pictures beside it.
        **kwargs: as Lightning's.

    Raises:
        ModuleNotFoundError: if MLflow is not installed.
        ArgumentError: for the name of an experiment that MLflow would not take.
    """

    def __init__(
        self,
        save_dir: str,
        identity: str,
        tags: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        group: str | None = None,
        tracking_uri: str | None = None,
        **kwargs: Any,
    ) -> None:
        require("mlflow")
        if "experiment_name" in kwargs:
            _check_experiment(kwargs["experiment_name"])
        tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if tracking_uri is None:
            folder = Path(save_dir).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            tracking_uri = f"sqlite:///{folder}/mlflow.db"
            kwargs.setdefault("artifact_location", str(folder / "artifacts"))
        told = dict(tag.partition("=")[::2] for tag in tags) | {IDENTITY: identity}
        if group is not None:
            told["group"] = group
        super().__init__(tracking_uri=tracking_uri, tags=told, **kwargs)
        self._identity, self._params = identity, dict(params or {})
        self._tell = Unharmed("MLflow")
        self._ended = False
        self._waiting: list[Any] = []
        self._sent = 0.0

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The ``MlflowClient``, with the run begun, if the server lets us."""
        if not self._initialized:
            self._tell(self._begin)
        return self._mlflow_client

    def _begin(self) -> None:
        # Not Lightning's: it sets MLFLOW_TRACKING_URI for the whole process.
        from mlflow.tracking.context.registry import resolve_tags

        client = self._mlflow_client
        self._experiment_id = experiment = self._experiment_of_that_name()
        for earlier in client.search_runs([experiment], f"tags.`{IDENTITY}` = '{self._identity}'"):
            client.delete_run(earlier.info.run_id)
        run = client.create_run(experiment, tags=resolve_tags(self.tags), run_name=self._run_name)
        self._run_id = run.info.run_id
        self._initialized = True

    def _experiment_of_that_name(self) -> str:
        from mlflow.exceptions import MlflowException

        name, client = self._experiment_name, self._mlflow_client
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return client.create_experiment(name, self._artifact_location)
            except MlflowException:
                found = client.get_experiment_by_name(name)  # another process may be faster
                if found is None:
                    raise
        return found.experiment_id

    def log_hyperparams(self, params: Any) -> None:
        """Tells MLflow its parameters, and the whole config as a file.

        Args:
            params: nested dicts.
        """
        self._tell(super().log_hyperparams, self._params)
        self._tell(lambda: self.experiment.log_dict(self.run_id, params, "config.yaml"))

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs each metric under its own name, several rows at a time."""
        from mlflow.entities import Metric

        if self._tell.broken:
            return
        now = time.time()
        if len(self._waiting) + len(metrics) > LARGEST_BATCH:
            self._send()
        self._waiting += [
            Metric(name, value, int(now * 1000), step or 0) for name, value in metrics.items()
        ]
        if now - self._sent > SEND_SECONDS:
            self._send()

    def _send(self) -> None:
        waiting, self._waiting, self._sent = self._waiting, [], time.time()
        if waiting:
            self._tell(lambda: self.experiment.log_batch(self.run_id, waiting))

    def log_image(
        self, key: str, images: Sequence[str], step: int, caption: Sequence[str] | None = None
    ) -> None:
        """Logs pictures from their files.

        Args:
            key: their name, for the image grid.
            images: paths.
            step: where the slider finds them.
            caption: not shown.
        """
        self._send()
        for path in images:
            self._tell(self._log_image, key, path, step)

    def _log_image(self, key: str, path: str, step: int) -> None:
        with Image.open(path) as image:
            self.experiment.log_image(self.run_id, image, key=key, step=step)

    def finalize(self, status: str = "success") -> None:
        """Sends what waits, and ends the MLflow run: FINISHED, FAILED, or KILLED if ``aborted``."""
        if self._ended or not self._initialized:
            return
        self._ended = True
        self._send()
        self._tell(super().finalize, "KILLED" if status == "aborted" else status)


def _check_experiment(name: Any) -> None:
    """By MLflow's own rule, which it would apply once the run has begun."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils import validation

    try:
        validation._validate_experiment_name(name)
    except MlflowException as error:
        problem = f"must be text of 1 to {validation.MAX_EXPERIMENT_NAME_LENGTH} characters"
        raise ArgumentError("experiment_name", name, problem) from error
