"""Full and read-only disks: no file is half there, and the run goes on later."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst.runner import checkpoint_file
from nst.runner.record import COMPLETED, read_status
from nst.utils.errors import reason
from nst.utils.files import write_whole
from tests.helpers import execute, first_of, nst, prepared
from tests.run_folders import contents

pytestmark = pytest.mark.usefixtures("tiny_backbone")

LAYERS = ("layers.style=[conv1_1]", "layers.content=[conv2_1]")
TINY = (
    *LAYERS,
    "image.size=48",
    "steps=6",
    "snapshot_every=4",
    "checkpoint_seconds=0",
    "logger=none",
)


def whole(folder: Path) -> None:
    """Every file of ours under a final name can be read, and nothing else is there."""
    for path in folder.rglob("*"):
        if "wandb" in path.relative_to(folder).parts:
            continue  # W&B writes its own
        assert not path.name.endswith(".tmp"), path
        if path.suffix == ".png":
            Image.open(path).load()
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.name == "metrics.csv":
            lines = path.read_text().splitlines()
            assert len({line.count(",") for line in lines}) == 1
        if path.name == checkpoint_file.NAME:
            assert checkpoint_file.load(path.parent, folder.name.split("-")[-1]) is not None


class FullDisk:
    """In the place of the files that ``write_whole`` opens: one gets half of what comes.

    Attributes:
        fits: how many files are written before that; None: all.
        hit: whether it has happened; nothing fits from then on.
    """

    def __init__(self) -> None:
        self.fits: int | None = None
        self.hit = False

    def open(self, path: Path, *arguments: Any) -> Any:
        return _File(self, open(path, *arguments))  # noqa: PTH123


class _File:
    def __init__(self, disk: FullDisk, file: Any) -> None:
        self.disk, self.file = disk, file

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *details: object) -> None:
        self.file.close()
        if self.disk.fits:
            self.disk.fits -= 1

    def write(self, content: Any) -> int:
        if self.disk.fits == 0:
            self.disk.hit = True
            self.file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(content)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FullDisk]:
    found = FullDisk()
    plain = Path.open

    def opened(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name.endswith(".tmp"):
            return found.open(path, *arguments)
        return plain(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", opened)
    yield found


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, disk: FullDisk) -> None:
    target = tmp_path / "final.png"
    target.write_text("before")
    disk.fits = 0
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_whole(target, b"new content")
    assert caught.value.filename == str(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["final.png"]
    assert target.read_text() == "before"


def test_a_failed_rename_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run.json"
    target.write_text("before")

    def replace(path: Path, to: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="Read-only"):
        write_whole(target, b"new")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("stride", first_of([7, 1]))
def test_the_disk_is_full_at_any_file(stride: int, tmp_path: Path, disk: FullDisk) -> None:
    """Whichever file does not fit: none is half there, and the same run goes on to the same end."""
    (peace,) = execute([prepared(*TINY, f"outputs={tmp_path / 'peace'}")])
    for tries in range(0, 100, stride):
        run = prepared(*TINY, f"outputs={tmp_path / str(tries)}")
        disk.fits, disk.hit = tries, False
        try:
            execute([run])
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert (
                "no space left on device; free some space and run the same command again"
                in reason(error)
            )
        if not disk.hit:
            break
        disk.fits = None
        folder = tmp_path / str(tries) / "runs" / peace.name
        assert read_status(folder) != COMPLETED
        whole(folder)
        assert execute([run]) == [folder]
        assert contents(folder) == contents(peace)
    assert not disk.hit
    assert tries > 10


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Any]]:
    """A small file system, and what mounts it again with other options."""
    place = tmp_path / "disk"
    place.mkdir()
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]

    def mount(*options: str) -> None:
        command = [*root, "mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        subprocess.run(command, check=True, capture_output=True)

    try:
        mount("size=64k", "mode=777")
    except (OSError, subprocess.CalledProcessError) as error:
        told = f"no file system can be mounted here: {error}"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    yield place, mount
    subprocess.run([*root, "umount", "--lazy", str(place)], check=False)


@pytest.mark.parametrize(
    ("room", "logger", "steps"),
    # the last is filled by a checkpoint, once it has a history of some 20 steps
    first_of([("96k", "none", 6), ("160k", "wandb", 6), ("3m", "none", 90)]),
)
def test_a_disk_that_is_really_full(
    room: str, logger: str, steps: int, mounted: tuple[Path, Any], tmp_path: Path
) -> None:
    """In a file system of this size a run ends with one line; with room it goes on."""
    place, mount = mounted
    mount("remount", f"size={room}")
    larger = ("image.size=64", f"steps={steps}")
    deep = TINY[len(LAYERS) :]  # steps that leave time for checkpoints
    settings = [*deep[:-1], *larger, f"logger={logger}", f"outputs={place}"]
    ended = nst(*settings, cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("nst: ")]
    assert line.startswith("nst: disk/runs/")
    assert "no space left on device" in line
    assert "Traceback" not in ended.stderr
    (folder,) = (place / "runs").iterdir()
    assert read_status(folder) != COMPLETED
    whole(folder)
    mount("remount", "size=200m")
    again = nst(*settings, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    peace = tmp_path / "peace"  # in a process as well: here the backbone is tiny
    assert nst(*deep, *larger, f"outputs={peace}", cwd=tmp_path).returncode == 0
    assert contents(folder) == contents(next((peace / "runs").iterdir()))
    shutil.rmtree(place / "runs")


def test_a_read_only_folder(mounted: tuple[Path, Any], tmp_path: Path) -> None:
    place, mount = mounted
    mount("remount", "ro")
    for mode, folder in (([], "runs"), (["-m"], "sweeps")):
        ended = nst(*mode, *TINY, f"outputs={place}", cwd=tmp_path)
        assert ended.returncode == 1, ended.stderr
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("nst: ")]
        assert line.startswith(f"nst: disk/{folder}: ")
        assert "read-only file system; set outputs to a writable folder" in line
        assert "Traceback" not in ended.stderr
