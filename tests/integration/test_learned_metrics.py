"""LPIPS and DISTS: torchmetrics' numbers, only where they are wanted, and never a download."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import (
    deep_image_structure_and_texture_similarity,
    learned_perceptual_image_patch_similarity,
)

from nst.cli.main import invoke
from nst.images import Picture
from nst.metrics import learned
from nst.metrics.quality import Metrics
from nst.runner.record import read_facts
from nst.transfer.run import Style
from tests.helpers import execute, prepared, tiny

pytestmark = pytest.mark.usefixtures("tiny_backbone")

TINY = ("image.size=32", "steps=2", "logger=none", "precision=32")
BOTH = "learned_metrics=[lpips,dists]"
NAMES = {"lpips", "dists"}
CPU = torch.device("cpu")
REAL = "vgg16-397923af.pth"


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def lpips(one: Tensor, other: Tensor) -> float:
    """Torchmetrics' own, which takes pictures in [-1, 1] unless it is asked to scale them."""
    found = learned_perceptual_image_patch_similarity(2 * one - 1, 2 * other - 1, net_type="vgg")
    return float(found)


def dists(one: Tensor, other: Tensor) -> float:
    return float(deep_image_structure_and_texture_similarity(one, other).detach())


def measures(folder: Path) -> dict[str, float]:
    found: dict[str, float] = read_facts(folder)["measures"]
    return found


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics(tiny(), "vgg19", CPU)


@pytest.mark.usefixtures("vgg16_file")
def test_a_run_has_torchmetrics_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([*TINY, BOTH, f"outputs={tmp_path}"]) == 0
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    files = folder / "final.png", folder / "inputs" / "content.png"
    final, content = (tensor(Image.open(file)) for file in files)
    assert measures(folder)["lpips"] == pytest.approx(lpips(final, content), rel=1e-4)
    assert measures(folder)["dists"] == pytest.approx(dists(final, content), rel=1e-4)
    assert min(measures(folder)[name] for name in NAMES) > 1e-5


@pytest.mark.usefixtures("vgg16_file")
def test_runs_of_a_batch_have_those_that_they_ask_for(tmp_path: Path) -> None:
    wanted = [["lpips"], [], ["dists"]]
    runs = [
        prepared(
            *TINY,
            "init=noise",
            f"seed={seed}",
            f"learned_metrics=[{','.join(names)}]",
            f"outputs={tmp_path}",
        )
        for seed, names in enumerate(wanted)
    ]
    assert [sorted(NAMES & measures(folder).keys()) for folder in execute(runs)] == wanted


@pytest.mark.usefixtures("vgg16_file")
def test_equal_pictures_and_others(metrics: Metrics) -> None:
    one, other = noise(40, 32), noise(40, 32, seed=1)
    equal = metrics.measure(one, one, [], ["lpips", "dists"])
    assert equal["lpips"] == 0
    assert 0 <= equal["dists"] < 1e-6
    apart = metrics.measure(other, one, [], ["lpips", "dists"])
    assert min(apart[name] for name in NAMES) > 1e-4
    assert not NAMES & metrics.measure(other, one, []).keys()
    assert (
        not NAMES
        & metrics.measure(one, None, [Style(Picture("", other))], ["lpips", "dists"]).keys()
    )


@pytest.mark.usefixtures("vgg16_file")
def test_large_pictures_are_made_smaller(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst.metrics.quality.LARGEST", 32)
    one, other = noise(80, 64), noise(80, 64, seed=1)
    smaller = [tensor(each.resize((40, 32), Image.Resampling.LANCZOS)) for each in (one, other)]
    found = metrics.measure(one, other, [], ["lpips"])
    assert found["lpips"] == pytest.approx(lpips(*smaller), rel=1e-3)
    assert found["lpips"] != pytest.approx(lpips(tensor(one), tensor(other)), rel=0.05)


@pytest.mark.parametrize(("side", "computed"), [(15, set()), (16, NAMES)])
@pytest.mark.usefixtures("vgg16_file")
def test_small_pictures_have_none(side: int, computed: set[str], metrics: Metrics) -> None:
    one, other = noise(40, side), noise(40, side, seed=1)
    found = metrics.measure(one, other, [], ["lpips", "dists"])
    assert NAMES & found.keys() == computed
    assert "ssim" in found


def test_a_process_builds_the_networks_once(
    vgg16_file: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one, other = noise(40, 32), noise(40, 32, seed=1)
    first = metrics.measure(one, other, [], ["lpips", "dists"])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert metrics.measure(one, other, [], ["lpips", "dists"]) == first


def refused(capsys: pytest.CaptureFixture[str], outputs: Path, *overrides: str) -> str:
    """The one line of a command that is refused, and that leaves no run behind."""
    capsys.readouterr()
    assert invoke([*TINY, *overrides, f"outputs={outputs}"]) == 2
    assert not outputs.exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def home(tmp_path: Path, vgg16_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder of PyTorch's than that of ``vgg16_file``, still empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "a home"))
    return tmp_path / "a home" / "hub" / "checkpoints"


def test_without_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / REAL
    expected = (
        "nst: learned_metrics=[lpips,dists]: needs the VGG-16 of torchvision, and there is no "
        f"{path}; nst downloads nothing; get it with: "
        f"curl -L --create-dirs -o {path} https://download.pytorch.org/models/{REAL}"
    )
    assert refused(capsys, tmp_path / "outputs", BOTH) == expected
    assert not path.parent.exists()
    path.mkdir(parents=True)
    assert refused(capsys, tmp_path / "outputs", BOTH) == expected


def test_a_file_of_this_name_with_other_contents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / REAL
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<html>")
    line = refused(capsys, tmp_path / "outputs", BOTH)
    begins = "its sha256 begins with b7d082ee, not 397923af; get it with: curl"
    assert line.startswith(f"nst: learned_metrics=[lpips,dists]: {path} is damaged: {begins}")


def test_a_truncated_file(
    home: Path, vgg16_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(parents=True)
    (home / vgg16_file.name).write_bytes(vgg16_file.read_bytes()[:-1])
    line = refused(capsys, tmp_path / "outputs", "learned_metrics=[dists]")
    assert f"learned_metrics=[dists]: '{home / vgg16_file.name}' is damaged" in line
    shutil.copy(vgg16_file, home)  # the error is not kept
    assert learned.networks(("dists",), CPU).keys() == {"dists"}


@pytest.mark.usefixtures("vgg16_file")
def test_an_older_torchmetrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image.dists", None)
    line = refused(capsys, tmp_path / "outputs", BOTH)
    problem = "needs torchmetrics 1.8 or later: pip install 'nst[learned]'"
    assert line == f"nst: learned_metrics=[lpips,dists]: {problem}"


@pytest.mark.parametrize("given", ["[ssim]", "[lpips,LPIPS]", "[[lpips]]"])
def test_other_names(given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, tmp_path / "outputs", f"learned_metrics={given}")
    assert line == f"nst: learned_metrics={given}: allowed: a list of lpips, dists"


def test_a_finished_run_needs_no_weights(home: Path, tmp_path: Path) -> None:
    assert invoke([*TINY, f"outputs={tmp_path}"]) == 0
    assert invoke([*TINY, BOTH, f"outputs={tmp_path}"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert not NAMES & measures(folder).keys()
