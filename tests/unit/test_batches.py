"""Which runs share a pass, how many of them, and what is said of it."""

from __future__ import annotations

from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import torch

from nst.sweeps.vectorized import batches, memory
from nst.sweeps.vectorized.batches import Group, groups
from nst.transfer.run import Run
from nst.utils.text import ranges
from tests.helpers import prepared, resolved

TINY = ("image.size=32", "steps=6", "logger=none", "precision=32")


@cache
def asked(job: str = "") -> Run:
    return prepared(*TINY, *job.split())


def grouped(*jobs: str, precisions: list[str] | None = None) -> list[Group]:
    named = precisions or ["32"] * len(jobs)
    runs = [resolved(asked(job), precision=each) for job, each in zip(jobs, named, strict=True)]
    return groups(runs)


def test_what_each_run_has_for_itself_keeps_no_one_apart() -> None:
    (group,) = grouped(
        "init=noise",
        "init=noise seed=1 weights.style=1 weights.tv=3",
        "init=style style=waves style.size=40 logger=csv",
        "content=coffee layers.style=[conv1_1,relu5_1] divergence=null",
        "content=rocket layer_weights=gatys normalize.layers=sum",
        "task=texture_synthesis style.path=builtin:chelsea init=style",
    )
    assert group.members == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ("content=astronaut", "picture=32x32"),
        ("image.size=48", "picture=72x48"),
        ("schedule=pyramid image.size=64", "picture=24x16,48x32,96x64 steps="),
        ("steps=4", "steps=4"),
        ("optimizer.lr=0.5", "optimizer.lr=0.5"),
        ("optimizer=adam", "optimizer._target_=nst.optim.Adam"),
        ("normalize.activations=false", "normalize.activations=False"),
        ("backbone.pooling=average", "backbone.pooling=average"),
        ("backbone.padding=replicate", "backbone.padding=replicate"),
        ("+trainer.profiler=simple", "trainer.profiler=simple"),
        ("snapshot_every=3", "snapshot_every=3"),
        ("checkpoint_seconds=3", "checkpoint_seconds=3.0"),
        ("layers.style=[conv1_1] layers.content=[conv2_1]", "deepest layer=conv2_1"),
    ],
)
def test_what_keeps_runs_apart_is_told(job: str, told: str) -> None:
    found = grouped("init=noise", job, "init=content")
    assert [group.members for group in found] == [[0, 2], [1]]
    first, second = batches.separating(found)
    assert second.startswith(told)
    if not job.startswith("schedule"):
        assert second == told
    assert first.split("=")[0] == second.split("=")[0] or "profiler" in told


def test_fractions_of_the_style_weight_keep_runs_apart() -> None:
    half = "schedule=single schedule.sizes=[0.5,1] schedule.steps=[1,1] image.size=64"
    found = grouped(half, f"{half} schedule.style=[0.5,1]", f"{half} schedule.style=[1,1]")
    assert [group.members for group in found] == [[0, 2], [1]]
    assert batches.separating(found)[1] == "schedule.style=0.5,1.0"


def test_resolved_precision_counts_not_what_was_asked_for() -> None:
    jobs = ("precision=auto", "precision=32", "precision=bf16")
    found = grouped(*jobs, precisions=["bf16", "32", "bf16"])
    assert [group.members for group in found] == [[0, 2], [1]]
    assert batches.separating(found) == ["precision=bf16", "precision=32"]


def test_shallow_runs_stay_apart_and_those_almost_as_deep_join() -> None:
    def depth(style: str, content: str) -> str:
        return f"layers.style=[{style}] layers.content=[{content}]"

    found = grouped(
        depth("conv1_1", "conv2_2"),  # 0.34 of what conv4_2 takes
        depth("conv1_1", "conv4_2"),
        depth("conv3_3", "conv1_1"),  # 0.67
        depth("relu4_1", "conv1_1"),  # 0.87
        depth("conv2_2", "conv1_1"),
    )
    assert [group.members for group in found] == [[0, 4], [1, 3], [2]]
    assert found[1].deepest == "conv4_2"
    assert batches.separating(found)[2] == "deepest layer=conv3_3"


def test_runs_with_other_losses_stay_apart_if_each_has_company() -> None:
    """A batch of several losses copies the features of their images, and is slower."""
    jobs = ["seed=1", "style_loss=moments", "seed=2", "style_loss=moments seed=1"]
    found = grouped(*jobs)
    assert [group.members for group in found] == [[0, 2], [1, 3]]
    assert batches.separating(found) == ["style_loss=gram", "style_loss=moments"]
    (group,) = grouped("", "style_loss=moments", "style_loss=nearest")
    assert group.members == [0, 1, 2]
    found = grouped("", "style_loss=moments", "style_loss=nearest", "seed=1")
    assert [group.members for group in found] == [[0, 3], [1, 2]]


def test_one_group_has_nothing_to_be_told_apart_by() -> None:
    assert batches.separating(grouped("init=noise")) == [""]


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [(9, 8, [5, 4]), (8, 8, [8]), (1, 8, [1]), (10, 4, [4, 3, 3]), (3, 1, [1, 1, 1])],
)
def test_parts_are_even(count: int, most: int, sizes: list[int]) -> None:
    parts = batches.split(list(range(count)), most)
    assert [len(part) for part in parts] == sizes
    assert list(chain(*parts)) == list(range(count))


def test_a_sweep_that_goes_on_has_the_batches_that_are_left() -> None:
    """Whatever was computed before, the others are in one pass with the same ones: bit for bit."""
    for count in range(1, 60):
        for most in range(1, 20):
            parts = batches.split(list(range(count)), most)
            for done in range(1, len(parts)):
                left = list(chain(*parts[done:]))
                assert batches.split(left, most) == parts[done:]


def test_the_least_limit_counts_and_is_told() -> None:
    for gpu in (False, True):
        fit = (5, "1 GB each fit in 5 GB")
        assert batches.largest(10**9, 5 * 10**9, 100, gpu, None) == fit
        assert batches.largest(10**9, 5 * 10**9, 100, gpu, 3) == (3, "max_batch_size=3")
        assert batches.largest(10**9, 10, 100, gpu, None)[0] == 1
    number, why = batches.largest(1, 10**9, batches.USEFUL_PIXELS // 4, True, 9)
    assert (number, why) == (4, "more would not be faster")


@pytest.mark.parametrize(("threads", "pairs"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_more_images_than_are_useful(
    threads: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU by the threads of the process."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = [batches.useful(size**2, False) for size in (16, 64, 128, 256, 1024)]
    assert found == [16 * pairs, 16 * pairs, 4 * pairs, 2 * pairs, 2 * pairs]
    assert [batches.useful(size**2, True) for size in (64, 256, 2048)] == [512, 32, 1]


def test_ranges() -> None:
    assert ranges([7, 0, 1, 2, 3, 9, 10]) == "0-3,7,9-10"
    assert ranges([4]) == "4"


def test_what_an_image_takes_grows_with_what_it_needs() -> None:
    def taken(job: str = "", precision: str = "32") -> int:
        return memory.image_bytes([resolved(asked(job), precision=precision)])

    small = taken()
    # all but the Gram matrices, which are the same at every size
    assert taken("image.size=64") - small == pytest.approx(taken("image.size=128") / 5, rel=0.2)
    assert taken("schedule.precise=0", precision="bf16") < small
    assert taken(precision="bf16") == small  # the last steps are in float32
    assert taken("layers.style=[conv1_1] layers.content=[conv2_1]") < small
    more, less = (taken(f"steps=200 optimizer.history_size={size}") for size in (100, 50))
    history = more - less
    assert history == 2 * 50 * 3 * 48 * 32 * 4
    both = [asked(f"layers.content=[{name}]") for name in ("conv4_3", "conv5_4")]
    assert memory.image_bytes(both) > max(memory.image_bytes([run]) for run in both)


def group_files(folder: Path, **numbers: int | str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in numbers.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{value}\n")


def test_limits_of_control_groups_count(tmp_path: Path) -> None:
    """Version 2: the least of what the group and those around it leave; cached files are free."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    stat = "anon 1\ninactive_file 300"
    group_files(root / "a" / "b", memory_max=1000, memory_current=900, memory_stat=stat)
    group_files(root / "a", memory_max="max", memory_current=5000, memory_stat=stat)
    group_files(root, memory_max=2000, memory_current=2100, memory_stat=stat)
    own.write_text("0::/a/b\n")
    assert memory._control_groups(root, own) == [400, 200]
    assert memory._control_groups(root, tmp_path / "none") == []


def test_limits_of_control_groups_of_version_1_count(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    group = root / "memory"
    group_files(group, memory_stat="total_inactive_file 30")
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("500\n")
    own.write_text("4:memory:/docker/abc\n3:cpu:/\n")  # a container sees its own group as the root
    assert memory._control_groups(root, own) == [530]
