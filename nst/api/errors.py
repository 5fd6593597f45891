"""Errors of the five functions: the line that the command prints, with a short traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from nst.config.messages import BAD_INPUT, one_line
from nst.utils.errors import NstError

P = ParamSpec("P")
R = TypeVar("R")


class BadInputError(NstError):
    """The config cannot be composed. The command's exit status would be 2."""

    exit_status = BAD_INPUT


def errors_in_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """Has a function raise what is wrong with its input without the frames below it.

    A notebook would print hundreds of lines of Hydra's before the one that helps. With
    ``NST_FULL_ERROR=1`` all of them are there.

    Raises:
        NstError: with the line that the command prints.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (NstError, HydraException, OmegaConfBaseException) as error:
            if os.environ.get("NST_FULL_ERROR"):
                raise
            found: NstError = BadInputError(one_line(error))
            cause = None
            if isinstance(error, NstError):
                found = error
                if error.exit_status != BAD_INPUT:  # it may be a mistake in the code
                    cause = error.__cause__
        raise found.with_traceback(None) from cause

    return call
