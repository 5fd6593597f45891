"""Hostile pictures, weights and configs: each refused in one line, with nothing left behind."""

from __future__ import annotations

import gc
import gzip
import io
import os
import pickle
import re
import resource
import signal
import stat
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from nst import images
from nst.cli import main
from nst.images import decode
from nst.utils.errors import printable
from nst.utils.files import escaped
from nst.vgg import architecture, calibration, weights

TINY = ("image.size=16", "steps=1", "logger=none")  # whatever is accepted by mistake is cheap
SECONDS, BYTES = 20, 6 << 30  # no case may hang, or fill the memory of the machine

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
MAGIC = b"\x89PNG\r\n\x1a\n"


def _encoded(kind: str, picture: Any = PIXELS, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format=kind, **options)
    return file.getvalue()


def _tiff(picture: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, picture, **options)
    return file.getvalue()


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _header(width: int, height: int, depth: int = 8) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))


def _zip(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def _broken(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _claiming(data: bytes, side: int) -> bytes:
    """A JPEG whose frame header says side x side px."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


def _ifd(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A little-endian TIFF with one directory of (tag, type, count, value)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", following)


PNG, JPEG, WEBP, TIFF = (_encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF"))
APNG = _encoded("PNG", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
TEXT_BOMB = PNG[:33] + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26))) + PNG[33:]
SQUARE = ((256, 4, 1, 40), (257, 4, 1, 40), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1))

PICTURES: dict[str, bytes] = {
    "empty.png": b"",
    "one_byte.png": b"\x89",
    "text.png": b"not a picture",
    "page.jpg": b"<!doctype html><html><script>alert(1)</script></html>",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
    "drawing.png": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'></svg>",
    "paper.pdf": _encoded("PDF"),
    "still.ico": _encoded("ICO"),
    "layers.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 40, 50, 8, 3) + bytes(12),
    "archive.png": _zip("inside.png", PNG),
    "packed.png": gzip.compress(PNG),
    "pickle.png": pickle.dumps(PIXELS),
    "noise.png": MAGIC + np.random.default_rng(1).bytes(4000),
    "quarter.png": PNG[: len(PNG) // 4],
    "half.png": PNG[: len(PNG) // 2],
    "most.png": PNG[: len(PNG) * 3 // 4],
    "half_animated.png": APNG[: len(APNG) // 4],
    "crc_header.png": _broken(PNG, 30),
    "crc_data.png": _broken(PNG, len(PNG) // 2),
    "huge.png": MAGIC + _header(50_000, 50_000) + _chunk(b"IDAT", zlib.compress(bytes(9))),
    "no_data.png": MAGIC + _header(50, 40) + _chunk(b"IEND"),
    "header.jpg": JPEG[: JPEG.index(b"\xff\xda")],
    "half.jpg": JPEG[: len(JPEG) // 2],
    "vast.jpg": _claiming(JPEG, 65_000),
    "half.webp": WEBP[: len(WEBP) // 2],
    "no_frames.webp": b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x31\0\0\x27\0\0"
    b"ANIM\6\0\0\0" + bytes(6),
    **{
        f"half.{kind}".lower(): _encoded(kind)[:half]
        for kind, half in (("GIF", 900), ("BMP", 900), ("AVIF", 500), ("JPEG2000", 900))
    },
    "header.gif": b"GIF89a" + bytes(20),
    "huge.bmp": b"BM"
    + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, *[50_000] * 2, 1, 24, *[0] * 6),
    "empty.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
    "half.tif": TIFF[: len(TIFF) // 2],
    "header.tif": TIFF[:8],
    "cyclic.tif": _ifd(*SQUARE, following=8),
    "tag_counts.tif": _ifd(*((tag, 4, 0xFFFFFFFF, 8) for tag, *_ in SQUARE)),
    "far_strip.tif": _ifd(*SQUARE, (273, 4, 1, 0x7FFFFFFF), (279, 4, 1, 1600)),
    "many_samples.tif": _ifd(*SQUARE[:4], (277, 3, 1, 60_000), (273, 4, 1, 8), (279, 4, 1, 9)),
    "broken_deflate.tif": _broken(_encoded("TIFF", compression="tiff_deflate"), 20),
    "half_floats.tif": _tiff(PIXELS / np.float32(255), photometric="rgb")[:9000],
    "nan_colours.tif": _tiff(np.full((40, 50, 3), np.nan, np.float32), photometric="rgb"),
    "huge_floats.tif": _ifd(
        *((256, 4, 1, 50_000), (257, 4, 1, 50_000), (258, 3, 1, 32), (262, 3, 1, 2)),
        *((273, 4, 1, 8), (277, 3, 1, 3), (279, 4, 1, 9), (339, 3, 1, 3)),
    ),
    "nan.tif": _tiff(np.full((40, 50), np.nan, np.float32)),
    "bright.tif": _tiff(np.full((40, 50), 70_000, np.int32)),
}

KEYS = {  # every key that takes a picture, with what makes it count
    "content.path": (),
    "style.path": (),
    "init.path": ("init=file",),
    "content.mask": ("content=blend",),
    "content.source": ("content=blend",),
    "content.target": ("content=blend",),
}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Garbage is not looked for among the modules."""
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder to stand in, bounds of time and memory, and a process left as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst"])
    gc.freeze()  # a refused run collects garbage: 0.3 s if it looked at all that was there before
    # Hydra composes everything twice, at first only to learn this
    monkeypatch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_, **__: None)
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, before[1]))
    handler = signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    resource.setrlimit(resource.RLIMIT_AS, before)


def _late(*_: object) -> None:
    raise TimeoutError(f"hangs: not refused within {SECONDS} s")


def _listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder with mode, time and content; links and pipes are not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        readable = stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK)
        content = path.read_bytes() if readable else b""
        found[str(path)] = (facts.st_mode, facts.st_mtime_ns, content)
    return found


def _refused(
    capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 2, noise: int = 0
) -> str:
    """The one line that refuses these arguments, without its newline.

    ``noise`` lines of a library in C may come before it.
    """
    before = _listing(Path.cwd())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):  # those that Python shows by default
            warnings.simplefilter("always", kind)
        ended = main.invoke([*TINY, *arguments])
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    assert ended == status, err
    assert out == ""
    assert not [str(warning.message) for warning in warned]  # lines on stderr, elsewhere
    assert err.endswith("\n")
    *others, line = err[:-1].split("\n")
    assert len(others) == noise, err
    assert line.startswith("nst: ")
    assert line.isprintable(), line  # so it is one line, and nothing that a terminal obeys
    assert _listing(Path.cwd()) == before
    return line


def _set(key: str, path: str | Path) -> str:
    return f"{key}='{path}'"


@pytest.mark.parametrize("name", PICTURES)
def test_bad_pictures(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path(name).write_bytes(PICTURES[name])
    key = [*KEYS][[*PICTURES].index(name) % len(KEYS)]
    noise = 1 if name == "broken_deflate.tif" else 0  # libtiff reports errors itself
    line = _refused(capfd, *KEYS[key], _set(key, name), noise=noise)
    assert line.startswith(f"nst: {key}={name}: ")
    assert "HYDRA_FULL_ERROR" not in line  # understood, not passed on


def _directory(path: Path) -> None:
    path.mkdir()


def _unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path.write_bytes(PNG)
    path.chmod(0)


def _text(path: Path) -> None:
    path.write_bytes(b"not a picture")


def _nothing(path: Path) -> None:
    """For names that lead nowhere."""


PLACES: list[tuple[str, str, Callable[[Path], None]]] = [
    ("content.path", "folder.png", _directory),
    ("content.path", "pipe.png", os.mkfifo),
    ("content.path", "broken_link.png", lambda path: path.symlink_to("nowhere.png")),
    ("style.path", "loop.png", lambda path: path.symlink_to(path.name)),
    ("init.path", "device.png", lambda path: path.symlink_to("/dev/zero")),
    ("style.path", "/dev/zero", _nothing),
    ("content.path", "/dev/null", _nothing),
    ("content.path", "unreadable.png", _unreadable),
    ("content.path", "two\nlines.png", _text),
    ("style.path", "return\r.png", _text),
    ("content.path", "<script>alert(1)<", _text),
    ("style.path", "\x1b[31mred\x1b[2J.png", _text),
    ("init.path", "\u202egnp.\u2028.png", _text),
    ("content.path", os.fsdecode(b"caf\xe9.png"), _text),
    ("content.path", "%00 \\0 \\x00.png", _text),
    ("style.path", "nul\0.png", _nothing),
    ("content.path", "n" * 300, _nothing),
    ("init.path", "deep/" * 2000 + "x.png", _nothing),
    ("content.path", "../../../../../../../../nowhere/x.png", _nothing),
    ("style.path", "/proc/self/mem", _nothing),
    ("content.path", "~no_such_user/x.png", _nothing),
    ("content.path", "http://localhost/x.png", _nothing),
    ("style.path", "builtin:", _nothing),
    ("content.target", "builtin:../chelsea", _nothing),
    ("style.path", "", _nothing),
    ("content.path", " ", _nothing),
]


@pytest.mark.parametrize(
    ("key", "name", "make"), PLACES, ids=[ascii(row[1])[:40] for row in PLACES]
)
def test_bad_places(
    key: str, name: str, make: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    make(Path(name))
    line = _refused(capfd, *KEYS[key], _set(key, name))
    assert line.startswith(f"nst: {key}={printable(escaped(name))}: ")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_the_same_message(key: str, capfd: pytest.CaptureFixture[str]) -> None:
    _text(Path("text.png"))
    line = _refused(capfd, *KEYS[key], _set(key, "text.png"))
    problem = f"not a picture of a known format; allowed: {', '.join(decode.FORMATS)}"
    assert line == f"nst: {key}=text.png: {problem}"


@pytest.mark.parametrize(
    ("key", "width", "height", "layer"),
    [
        ("content.path", 1, 1, "relu4_2"),
        ("style.path", 3, 20_000, "relu5_1"),
        ("content.path", 20_000, 7, "relu4_2"),
    ],
)
def test_pictures_too_small_for_the_layers(
    key: str, width: int, height: int, layer: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (width, height)).save("small.png")
    line = _refused(capfd, _set(key, "small.png"))
    assert line.startswith(f"nst: {key}=small.png: has {width}x{height} px, too small for {layer}")


@pytest.mark.parametrize(
    "data",
    [PNG[:-12], PNG + b"<html>" * 99, APNG[: len(APNG) * 3 // 4], TEXT_BOMB],
    ids=["no_end", "trailing", "animation", "text_bomb"],
)
def test_whole_pictures_in_odd_files_are_taken(data: bytes) -> None:
    Path("odd.png").write_bytes(data)
    np.testing.assert_array_equal(images.load("odd.png", "content.path").image, PIXELS)


class Code:
    """Unpickles by running a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def _state(value: float = 0.5, bias: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """VGG-19 in torchvision's layout, kilobytes on disk: all is one number, but for one bias."""
    state, index = {}, 0
    for layer in architecture.convolutions("vgg19"):
        shape = (layer.channels, layer.inputs, 3, 3)
        state[f"features.{index}.weight"] = torch.tensor(value).expand(shape)
        state[f"features.{index}.bias"] = torch.tensor(value).expand(layer.channels)
        index += 3 if layer.last else 2
    return state if bias is None else {**state, "features.0.bias": bias}


def _saved(value: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


WEIGHTS: dict[str, Callable[[], bytes]] = {
    "empty.pth": lambda: b"",
    "text.pth": lambda: b"not weights\n" * 9,
    "code.pth": lambda: pickle.dumps(Code()),
    "code_zip.pth": lambda: _saved({"features.0.weight": Code()}),
    "list.pth": lambda: _saved([torch.zeros(1)]),
    "other_names.pth": lambda: _saved({"weight": torch.zeros(1)}),
    "other_values.pth": lambda: _saved({"features.0.weight": 1, "features.0.bias": None}),
    "shape.pth": lambda: _saved(
        {"features.0.weight": torch.zeros(9), "features.0.bias": torch.zeros(9)}
    ),
    "nan.pth": lambda: _saved(_state(float("nan"))),
    "zeros.pth": lambda: _saved(_state(0.0)),
    "complex.pth": lambda: _saved(_state(bias=torch.zeros(64, dtype=torch.complex64))),
    "sparse.pth": lambda: _saved(_state(bias=torch.zeros(64).to_sparse())),
    "no_data.pth": lambda: _saved(_state(bias=torch.zeros(64, device="meta"))),
    "cut.pth": lambda: _saved(_state())[:-2000],
    "cut_old.pth": lambda: _saved(_state(), _use_new_zipfile_serialization=False)[:500],
    "other_zip.pth": lambda: _zip("inside.txt", b"text"),
    "bad_pickle.pth": lambda: _zip("archive/data.pkl", b"\x80\x02."),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_bad_weights(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "SIZE", 32)  # weights of zeros have no mean at any size
    Path(name).write_bytes(WEIGHTS[name]())
    line = _refused(capfd, "backbone.source=file", _set("backbone.path", name))
    assert line.startswith(f"nst: backbone.path={name}: ")
    assert not Path("ran").exists()


def test_weights_in_odd_places(capfd: pytest.CaptureFixture[str]) -> None:
    Path("weights.pth").write_bytes(_saved(_state()))
    os.mkfifo("pipe.pth")
    for name, more in (
        (".", ()),
        ("pipe.pth", ()),
        ("n" * 300, ()),
        ("~no_such_user/x.pth", ()),
        ("weights.pth", ("backbone.sha256=" + "0" * 64,)),
    ):
        line = _refused(capfd, "backbone.source=file", _set("backbone.path", name), *more)
        assert line.startswith(f"nst: backbone.path={name}: ")


def test_parameters_are_weights() -> None:
    """``torch.save(dict(model.named_parameters()))``: they want a gradient."""
    whole = {name: torch.nn.Parameter(value) for name, value in _state().items()}
    Path("weights.pth").write_bytes(_saved(whole))
    assert len(weights.load("vgg19", "file", "weights.pth", None, "rgb").convolutions) == 16


CONFIGS: list[tuple[str, str]] = [
    # (overrides, what the line must begin with or hold)
    ("weights.style=nan", "weights.style=nan: "),
    ("weights.content=-inf", "weights.content=-inf: "),
    ("weights.tv=1e400", "weights.tv=inf: "),
    ("layer_weights.style=[1,2,3,4,nan]", "layer_weights.style=nan: "),
    ("optimizer.lr=nan", "optimizer.lr=nan: "),
    ("+trainer.gradient_clip_val=inf", "trainer.gradient_clip_val=inf: "),
    (f"steps=1{'0' * 30}", "steps=1000"),
    ("image.size=1000000000", "image.size=1000000000: "),
    ("style.size=1000000000", "style.size=1000000000: "),
    (f"image.size=1{'0' * 400}", "image.size=1000"),
    (f"seed=1{'0' * 5000}", "seed"),
    ("seed=18446744073709551616", "seed=18446744073709551616: "),
    (f"optimizer.history_size=1{'0' * 30}", "history_size=1000"),
    ("content=blend content.position=[1e300,0]", "content.position=[1e+300,0.0]: "),
    (
        "schedule=single schedule.sizes=[1e-300,1] schedule.steps=[1,1] steps=2",
        "schedule.sizes=[1e-300,1.0]: ",
    ),
    ("schedule.sizes=${steps}", "schedule.sizes"),
    ("schedule.steps=[[1]]", "schedule.steps"),
    ("schedule.style=[[1]]", "schedule.style"),
    ("schedule.style=[nan]", "schedule.style"),
    ("experiment.claims=${steps}", "experiment.claims"),
    ("weights=[1]", "weights"),
    ("schedule=nan", "schedule"),
    ("steps=1.5", "steps: "),
    ("steps={a:1}", "steps: "),
    ("steps=[1]", "steps: "),
    ("image=5", "image: "),
    ("content=5", "content"),
    ("layers=null", "layers"),
    ("content.position=[a,b]", "content.position[0]: "),
    ("layers.style=[1]", "layers.style=[1]: "),
    ("layers.style=[[conv1_1]]", "layers.style"),
    ("force=perhaps", "force: "),
    ("optimizer.lr=fast", "lr=fast"),
    ("optimizer.beta1=2 optimizer=adam", "optimizer="),
    ("optimizer._target_=os.system", "optimizer"),
    ("optimizer._target_=5", "optimizer"),
    ("style_loss.scale=0", "style_loss"),
    ("style_loss.scale=big", "style_loss"),
    ("style_loss._target_=null", "style_loss"),
    ("style_loss._target_=no.such.Loss", "style_loss"),
    ("style_loss._target_=nst.losses.Features", "is not a subclass of StyleLoss"),
    ("content_loss._target_=nst.losses.Gram", "is not a subclass of ContentLoss"),
    ("+style_loss.power=3", "power"),
    ("style_loss=remd style_loss.samples=0", "samples=0: must be"),
    ("style_loss=sliced_wasserstein style_loss.redraw=0.5", "redraw=0.5: must be"),
    ("style_loss=cross layers.style=[conv1_1]", "layers.style=[conv1_1]: too few layers"),
    ("content_loss=self_similarity content_loss.positions=2", "positions=2: must be"),
    ("content_loss=none task=content_reconstruction", "nothing to optimise"),
    ("weights.spectrum=-1", "weights.spectrum=-1"),
    ("trainer._target_=builtins.print", "trainer"),
    ("trainer.max_epochs=many", "trainer"),
    ("logger=5", "logger"),
    ("+logger.x=5", "logger.x"),
    ("+logger.x._target_=no.such.Logger", "logger.x"),
    ("outputs=''", "outputs=: "),
    ("nothing=5", "nothing: no such key; allowed: task, "),
    ("stepz=5", "stepz: no such key (did you mean steps?); allowed: task, "),
    ("lr=1", "lr: no such key (did you mean optimizer.lr?); allowed: task, "),
    ("size=64", "size: no such key (did you mean style.size or image.size?); allowed: task, "),
    ("optimizer.tv=1", "optimizer.tv: no such key (did you mean weights.tv?); allowed: _target_, "),
    ("content=nothing", "content=nothing: no such option"),
    ("+experiments=../weights/mild", "experiment"),
    ("~steps", "steps"),
    ("steps=[1", "steps=[1: the brackets do not match"),
    ("=", "override ''"),
    ("=5", "=5"),
    ("a", "'a'"),
    ("🎨=ß\u0301", "🎨=ß"),
    ("steps=\x1b[31m", r"steps=\x1b[31m"),
    ("steps='1\r\n2'", "steps: "),
    ("steps=foo(1)", "foo(1)"),
    ("steps=1,2", "steps=1,2"),
    ("steps=${nothing}", "steps: "),
    ("steps=${oc.env:NOT_SET}", "steps: "),
    ("steps=${steps}", "steps: "),
    ("image.size=${steps} steps=${image.size}", "image.size: "),
    ("steps=${", "steps=${"),
    ("experiment.name=${nothing}", "nothing"),
    ("outputs=${nothing}", "nothing"),
    ("layers.style=???", "layers.style=???: "),
    ("init=file", "init.path=null: "),
    ("init=file init.path=none.png", "init.path=none.png: "),
    ("backbone.source=file", "backbone.path=null: "),
    ("experiment.claims=[5]", "experiment.claims"),
    ("experiment.columns={a:b}", "experiment.columns: "),
    (
        "logger=wandb logger.wandb.mode=onlin",
        "logger.wandb.mode=onlin: must be online, offline, disabled or null",
    ),
    (
        "+experiments=weights +preset=gatys",
        "preset=gatys: the group has an option already; to replace it, omit the +",
    ),
    ("+init=noise", "init=noise: the group has an option already; to replace it, omit the +"),
    ("logger=wandb logger.wandb.project=a/b", "logger.wandb.project=a/b: "),
    ("logger=wandb logger.wandb.tags=['']", "logger.wandb.tags=[]: "),
    ("logger=wandb +logger.wandb.settings.foo=1", "logger.wandb.settings.foo=1: "),
    ("--config-name=nothing", "nothing"),
    ("--config-dir=/nowhere", "/nowhere"),
]


@pytest.mark.parametrize(
    ("overrides", "named"), CONFIGS, ids=[ascii(row[0])[1:45] for row in CONFIGS]
)
def test_bad_configs(overrides: str, named: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = _refused(capfd, *overrides.split(" "))
    assert named in line


@pytest.mark.parametrize("outputs", ["/dev/null", "/proc/nowhere", "file", "file/x", "n" * 300])
def test_outputs_that_cannot_be(outputs: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Status 1: it shows when the first folder is made."""
    Path("file").write_text("in the way")
    assert outputs in _refused(capfd, f"outputs={outputs}", status=1)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ("content.path=thin.png image.size=2048", "image.size=2048"),
        ("style.path=thin.png style.size=2048", "style.size=2048"),
        ("style.path=thin.png style.size=16 image.size=2048 task=texture_synthesis", "image.size"),
        ("content=blend content.source=thin.png content.scale=9 image.size=512", "content.scale"),
    ],
)
def test_pictures_that_would_grow_too_large(
    overrides: str, named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """16x20000 px is a picture; with 2048 px at its shorter side it has 5 gigapixels."""
    Image.new("L", (16, 20_000)).save("thin.png")
    assert named in _refused(capfd, "init=noise", *overrides.split(" "))


@pytest.mark.parametrize("values", ["none.png,text.png", "text.png,none.png,none.jpg"])
def test_sweep_of_bad_pictures(values: str, capfd: pytest.CaptureFixture[str]) -> None:
    _text(Path("text.png"))
    assert main.invoke(["-m", *TINY, f"content.path={values}"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    told = re.findall(r"^nst: content\.path=(\S+): .+$", err, re.MULTILINE)
    assert told == values.split(",")
    assert err.count("nst: ") == len(told)
    assert f"sweep: {len(told)} failed" in err
    assert not Path("outputs/runs").exists()
