"""MLflow: one store for all runs, or a server."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# MLflow reads these when it is imported. By default it retries an unreachable server for minutes,
# reports usage to its makers, and logs about databases and addresses.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from lightning.pytorch.loggers import MLFlowLogger as LightningMLFlowLogger
from PIL import Image

from nst.loggers.base import SafeLogger, guarded, require
from nst.utils.errors import ArgumentError

logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # SafeLogger reports errors

IDENTITY = "nst.id"
"""Tag that all attempts at a run share."""

SEND_SECONDS = 2.0
"""Rows are collected for this long: a request for each row takes ten times as long in all."""

LARGEST_BATCH = 1000
"""Metrics that MLflow accepts in one request."""


class MLFlowLogger(SafeLogger, LightningMLFlowLogger):
    """Lightning's logger, with pictures, and with one MLflow run per run.

    When a run is resumed, its earlier MLflow run is deleted and all steps are logged again: MLflow
    would keep a step twice that is logged twice.

    Args:
        save_dir: where the store is without a server.
        identity: unique to the run, and the same when it is resumed.
        tags: ``key=value``.
        params: a few short parameters. MLflow writes all of them above each picture, in one line
            that sets the width of the picture's cell; the whole config would hide the pictures.
        group: the sweep that the run belongs to; None: none.
        tracking_uri: of a server or a database; None: MLFLOW_TRACKING_URI, or else a SQLite file in
            ``save_dir`` with the pictures beside it.
        **kwargs: as of Lightning's logger.

    Raises:
        ModuleNotFoundError: if MLflow is not installed.
        ArgumentError: for a name of an experiment that MLflow would refuse.
        MlflowException: for an address of an unknown kind.
    """

    tracker = "MLflow"
    _initialized = False

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
        folder = None
        if tracking_uri is None:
            folder = Path(save_dir).resolve()
            tracking_uri = f"sqlite:///{folder}/mlflow.db"
            kwargs.setdefault("artifact_location", str(folder / "artifacts"))
        pairs = dict(tag.partition("=")[::2] for tag in tags) | {IDENTITY: identity}
        if group is not None:
            pairs["group"] = group
        _check_uri(tracking_uri)
        arguments = {"tracking_uri": tracking_uri, "tags": pairs, **kwargs}
        inspect.signature(LightningMLFlowLogger.__init__).bind(self, **arguments)
        # not called yet: it opens the store, and a logger's settings are checked before its run
        self._open = partial(super().__init__, **arguments)
        self._identity, self._params = identity, dict(params or {})
        self._save_dir = folder
        self._unsent: list[Any] = []
        self._sent_at = 0.0

    def _start(self) -> Any:
        """Returns the ``MlflowClient``. The first call creates the MLflow run."""
        if not self._initialized:
            if self._save_dir is not None:
                self._save_dir.mkdir(parents=True, exist_ok=True)
            self._open()
            client = self._mlflow_client
            # not by Lightning, which sets MLFLOW_TRACKING_URI for the whole process
            from mlflow.tracking.context.registry import resolve_tags

            self._experiment_id = experiment = self._find_experiment()
            query = f"tags.`{IDENTITY}` = '{self._identity}'"
            for earlier in client.search_runs([experiment], query):
                client.delete_run(earlier.info.run_id)
            tags = resolve_tags(self.tags)
            run = client.create_run(experiment, tags=tags, run_name=self._run_name)
            self._run_id = run.info.run_id
            self._initialized = True
        return self._mlflow_client

    def _find_experiment(self) -> str:
        """Returns the id of the MLflow experiment, created if it is new."""
        from mlflow.exceptions import MlflowException

        name, client = self._experiment_name, self._mlflow_client
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return client.create_experiment(name, self._artifact_location)
            except MlflowException:
                found = client.get_experiment_by_name(name)  # another process was faster
                if found is None:
                    raise
        return found.experiment_id

    @guarded
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Logs the parameters given to the logger, and the config ``params`` as a file."""
        super().log_hyperparams(self._params)
        self.experiment.log_dict(self.run_id, params, "config.yaml")

    @guarded
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs each metric under its own name, several rows in a request."""
        from mlflow.entities import Metric

        now = time.time()
        if len(self._unsent) + len(metrics) > LARGEST_BATCH:
            self._send()
        self._unsent += [
            Metric(name, value, int(now * 1000), step or 0) for name, value in metrics.items()
        ]
        if now - self._sent_at > SEND_SECONDS:
            self._send()

    def _send(self) -> None:
        unsent, self._unsent, self._sent_at = self._unsent, [], time.time()
        if unsent:
            self.experiment.log_batch(self.run_id, unsent)

    def _log_image(self, key: str, path: str, step: int) -> None:
        self._send()
        with Image.open(path) as image:
            self.experiment.log_image(self.run_id, image, key=key, step=step)

    def _close(self, status: str) -> None:
        """Ends the MLflow run as FINISHED, FAILED, or KILLED if ``aborted``."""
        if self._initialized and self.active:  # do not wait again for a server that failed
            self._send()
            super()._close("KILLED" if status == "aborted" else status)


def _check_uri(uri: str) -> None:
    """Applies MLflow's own rule, without opening the store.

    Raises:
        MlflowException: for an address of an unknown kind.
    """
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    _tracking_store_registry.get_store_builder(uri)


def _check_experiment(name: Any) -> None:
    """Applies MLflow's own rule, which MLflow does only once the run has begun."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils import validation

    try:
        validation._validate_experiment_name(name)
    except MlflowException as error:
        problem = f"must be text of 1 to {validation.MAX_EXPERIMENT_NAME_LENGTH} characters"
        raise ArgumentError("experiment_name", name, problem) from error
