"""A run that was stopped after any step ends as if it had never been."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nst.utils.errors import NstError
from tests.examples import EXAMPLES, bounded
from tests.helpers import execute, prepared
from tests.run_folders import contents

pytestmark = pytest.mark.usefixtures("tiny_backbone")

STEPS = 8
TINY = (
    *("image.size=32", f"steps={STEPS}", "snapshot_every=3", "logger=none", "init=noise"),
    *("layers.style=[conv1_1,conv3_1]", "layers.content=[conv2_2]"),
)
CASES = {
    "lbfgs": ("precision=32",),
    "lbfgs-pyramid": ("precision=32", "schedule=pyramid"),
    "detail": ("precision=32", "schedule=pyramid", "schedule.detail=true", "init=content"),
    "adam-pyramid": ("precision=32", "schedule=pyramid", "optimizer=adam"),
    "lbfgs-float32-at-the-end": ("precision=bf16", "schedule.precise=0.5"),
    "redraws": ("precision=32", "style_loss=sliced_wasserstein", "style_loss.redraw=3"),
}


def test_resuming_at_any_step_equals_never_stopping(tmp_path: Path) -> None:
    """Losses, pictures and facts, bit for bit."""

    @cache
    def never_stopped(case: str) -> dict[str, Any]:
        (folder,) = execute([prepared(*TINY, *CASES[case], f"outputs={tmp_path / case}")])
        return contents(folder)

    @bounded(EXAMPLES // 4)
    @given(
        st.sampled_from(list(CASES)),
        st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=2, unique=True).map(sorted),
    )
    @example("lbfgs-pyramid", [STEPS // 2])
    def check(case: str, stops: list[int]) -> None:
        with TemporaryDirectory(dir=tmp_path) as outputs:
            settings = (*TINY, *CASES[case], f"outputs={outputs}")
            for before, stop in pairwise([0, *stops]):  # max_steps counts those of one Trainer
                with pytest.raises(NstError, match="stopped by the Trainer"):
                    execute([prepared(*settings, f"+trainer.max_steps={stop - before}")])
            (folder,) = execute([prepared(*settings)])
            assert contents(folder) == never_stopped(case)

    check()
