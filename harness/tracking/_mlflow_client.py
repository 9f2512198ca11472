"""MLflow's client, set to fail soon: it is called on a thread that tries again by itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from harness.tracking import Refused

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow would try for minutes, and a request that it sends twice may begin a run twice.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


def client(uri: str) -> Any:
    """A client of the store at `uri`, whose refusals are `Refused`; what the user has set is left so."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from mlflow import MlflowClient

    return _Refusing(MlflowClient(tracking_uri=uri))


class _Refusing:
    """A client whose calls raise Refused for what the store will never take."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return _refusing(getattr(self._made, name))


def _refusing(call: Callable[..., Any]) -> Callable[..., Any]:
    def asked(*arguments: Any, **named: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return call(*arguments, **named)
        except MlflowException as error:
            if error.error_code in REFUSALS:
                raise Refused(str(error)) from error
            raise

    return asked
