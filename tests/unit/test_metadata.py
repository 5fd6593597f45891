"""Whatever the metadata of a picture are, its pixels are read; damaged pixels never are."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst import images
from nst.images import metadata
from nst.utils.errors import ConfigError
from tests.examples import EXAMPLES, bounded
from tests.pictures import DISPLAY_P3, SRGB_CURVE, chunk, profile

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def _encoded(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, format=kind, **options)
    return file.getvalue()


def _exif() -> bytes:
    """Orientation, resolution, text and two directories: a TIFF file."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x0128], exif[0x010E] = 6, 72.0, 3, "a picture"
    exif[0x8769], exif[0x8825] = {0x9000: b"0232"}, {1: "N", 2: (1.0, 2.0, 3.0)}
    return exif.tobytes().removeprefix(b"Exif\0\0")


EXIF = _exif()
ICC = profile(DISPLAY_P3, SRGB_CURVE)
XMP = b'<x:xmpmeta tiff:Orientation="6"/>'
HEX = b"\nexif\n      %d\n%s\n" % (len(EXIF), EXIF.hex().encode())

PNG, JPEG = _encoded("PNG"), _encoded("JPEG")
AVIF = {"quality": 100, "subsampling": "4:4:4"}

CHUNKS: list[tuple[bytes, bytes, bytes]] = [
    # (kind, what stays, what is fuzzed)
    (b"eXIf", b"", EXIF),
    (b"tEXt", b"exif\0", EXIF),
    (b"tEXt", b"Raw profile type exif\0", HEX),
    (b"zTXt", b"Raw profile type exif\0\0", zlib.compress(HEX)),
    (b"zTXt", b"Comment\0", b"\0" + zlib.compress(b"a picture")),
    (b"iTXt", b"XML:com.adobe.xmp\0", b"\0\0\0\0" + XMP),
    (b"tEXt", b"", b"xmp\0" + XMP),
    (b"tEXt", b"", b"interlace\0a"),
    (b"iCCP", b"", b"profile\0\0" + zlib.compress(ICC)),
    (b"iCCP", b"profile\0\0", zlib.compress(ICC)),
    (b"pHYs", b"", struct.pack(">IIB", 2834, 2834, 1)),
    (b"gAMA", b"", struct.pack(">I", 45455)),
    (b"cHRM", b"", bytes(32)),
    (b"sRGB", b"", b"\0"),
    (b"tIME", b"", bytes(7)),
]
SEGMENTS: list[tuple[int, bytes, bytes]] = [
    (0xE0, b"JFIF", b"\0\1\1\1\0\x48\0\x48\0\0"),
    (0xE1, b"Exif\0\0", EXIF),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0", XMP),
    (0xE2, b"ICC_PROFILE\0", b"\1\1" + ICC),
    (0xE2, b"MPF\0", b"II*\0\x08\0\0\0\1\0\0\xb0\7\0\4\0\0\0" + b"0100"),
    (0xED, b"Photoshop 3.0\0", b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)),
    (0xFE, b"", b"a comment"),
]
TAGS = [270, 274, 282, 283, 296, 297, 305, 700, 33723, 34377, 34665, 34675, 34853, 40965]


@st.composite
def fuzzed(draw: st.DrawFn, data: bytes) -> bytes:
    """Other bytes, a part of them, or the same with some changed, most of those at the front."""
    how = draw(st.integers(0, 3))
    if how == 0:
        return draw(st.binary(max_size=40))
    if how == 1:
        return data[: draw(st.integers(0, len(data)))]
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        values = st.one_of(st.integers(0, 16), st.integers(0, 255))
        changed[draw(st.integers(0, min(len(data), 120) - 1))] = draw(values)
    return bytes(changed)


@st.composite
def pngs(draw: st.DrawFn) -> bytes:
    kind, stays, data = draw(st.sampled_from(CHUNKS))
    made = chunk(kind, stays + draw(fuzzed(data)))
    if draw(st.integers(0, 4)) == 0:
        made = made[:-1] + bytes([made[-1] ^ 1])  # a wrong checksum
    at = draw(st.sampled_from([33, len(PNG) - 12]))  # before or after the pixels
    return PNG[:at] + made + PNG[at:]


@st.composite
def jpegs(draw: st.DrawFn) -> bytes:
    start, stays, data = draw(st.sampled_from(SEGMENTS))
    body = stays + draw(fuzzed(data))
    made = struct.pack(">BBH", 0xFF, start, len(body) + 2) + body
    rest = draw(st.sampled_from([JPEG[2:], JPEG[20:]]))  # with and without Pillow's own JFIF
    return JPEG[:2] + made + rest


@st.composite
def webps(draw: st.DrawFn) -> bytes:
    key, data = draw(st.sampled_from([("exif", EXIF), ("icc_profile", ICC), ("xmp", XMP)]))
    return _encoded("WEBP", lossless=True, **{key: draw(fuzzed(data)) or b"\0"})


@st.composite
def tiffs(draw: st.DrawFn) -> bytes:
    """One entry of the directory has another tag, type, count or value."""
    big = draw(st.booleans())
    options: dict[str, Any] = {"big_tiff": big, "icc_profile": ICC, "dpi": (72, 72)}
    if draw(st.booleans()):
        options["compression"] = "tiff_lzw"
    elif not big:
        options["exif"] = EXIF
    data = bytearray(_encoded("TIFF", description="a picture", **options))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        entries = [tag.offset for tag in file.pages.first.tags if tag.code in TAGS]
    at = draw(st.sampled_from(entries))
    if draw(st.booleans()):
        data[at : at + 2] = draw(st.sampled_from(TAGS)).to_bytes(2, "little")
    for _ in range(draw(st.integers(1, 4))):
        data[at + draw(st.integers(2, 11))] = draw(
            st.one_of(st.integers(0, 16), st.integers(0, 255))
        )
    return bytes(data)


def _avif_with(exif: bytes) -> bytes:
    """Up to 60 bytes of EXIF are replaced in place, so that the rest stays where it is."""
    data = _encoded("AVIF", exif=EXIF, **AVIF)
    at = data.index(b"MM\0*")
    return data[:at] + exif.ljust(60, b"\0")[:60] + data[at + 60 :]


@st.composite
def avifs(draw: st.DrawFn) -> bytes:
    return _avif_with(draw(fuzzed(EXIF)))


def _turned(pixels: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """As stored and in the seven other orientations."""
    return [np.rot90(each, turns) for each in (pixels, pixels[:, ::-1]) for turns in range(4)]


@pytest.mark.parametrize(
    ("files", "kind", "options"),
    [
        (pngs(), "PNG", {}),
        (jpegs(), "JPEG", {}),
        (webps(), "PNG", {}),
        (tiffs(), "PNG", {}),
        (avifs(), "AVIF", AVIF),
    ],
    ids=["png", "jpeg", "webp", "tiff", "avif"],
)
def test_any_metadata(
    tmp_path: Path, files: st.SearchStrategy[bytes], kind: str, options: dict[str, Any]
) -> None:
    """The profile may still be a good one: then the colours are those of Display P3."""
    plain = tmp_path / "plain"
    wanted = []
    for icc in (None, ICC):
        plain.write_bytes(_encoded(kind, icc_profile=icc, **options))
        wanted += _turned(np.asarray(images.load(str(plain), "content.path").image))

    @bounded(3 * EXAMPLES)
    @given(files)
    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = np.asarray(images.load(str(path), "content.path").image)
        assert any(np.array_equal(found, each) for each in wanted)

    path = tmp_path / "picture"
    check()


def _png_with(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def _jpeg_with(start: int, body: bytes, whole: bytes = JPEG[:2] + JPEG[20:]) -> bytes:
    """With a segment in front; ``whole`` is without Pillow's JFIF."""
    return whole[:2] + struct.pack(">BBH", 0xFF, start, len(body) + 2) + body + whole[2:]


NOT_TIFF = b"\0\x08\0\2\1\x12\0\3"

FOUND: dict[str, bytes] = {
    # garbage in EXIF: SyntaxError, struct.error, ValueError; not of EXIF: IndexError
    "not_tiff.png": _png_with(chunk(b"eXIf", NOT_TIFF)),
    "short.png": _png_with(chunk(b"eXIf", b"MM\0*")),
    "hex.png": _png_with(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 8\nno hex\n")),
    "short_dpi.png": _png_with(chunk(b"pHYs", b"\0")),
    "method.png": _png_with(chunk(b"iCCP", b"a\0\7")),
    "bomb.png": _png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))),
    "checksum.png": _png_with(chunk(b"pHYs", bytes(9))[:-1] + b"\0"),
    "not_tiff.jpg": _jpeg_with(0xE1, b"Exif\0\0" + NOT_TIFF, _encoded("JPEG", dpi=(72, 72))),
    "short_jfif.jpg": _jpeg_with(0xE0, b"JFIF"),
    "short_icc.jpg": _jpeg_with(0xE2, b"ICC_PROFILE\0"),
    "short_photoshop.jpg": _jpeg_with(0xED, b"Photoshop 3.0\x008BIM\1\1"),
    "not_tiff.webp": _encoded("WEBP", lossless=True, exif=NOT_TIFF),
    "not_tiff.avif": _avif_with(NOT_TIFF),
    # good but for an entry that Pillow cannot write again once it has turned the picture
    "rewritten.webp": _encoded(
        "WEBP",
        lossless=True,
        exif=b"II*\0\x08\0\0\0\2\0"
        + struct.pack("<HHII", 0x0112, 3, 1, 6)
        + struct.pack("<HHII", 0x0128, 2, 1, 0x41)  # a unit of resolution as text
        + bytes(4),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_metadata_that_made_pictures_unreadable(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FOUND[name])
    found = np.asarray(images.load(str(path), "content.path").image)
    stored = {"jpg": JPEG, "avif": _encoded("AVIF", **AVIF)}.get(name.split(".")[1], PNG)
    with Image.open(io.BytesIO(stored)) as plain:
        assert any(np.array_equal(found, each) for each in _turned(np.asarray(plain)))


def test_the_orientation_counts_if_other_metadata_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "rewritten.webp"
    path.write_bytes(FOUND[path.name])
    found = images.load(str(path), "content.path").image
    np.testing.assert_array_equal(found, PIXELS[::-1].transpose(1, 0, 2))


SPOILT: dict[str, Callable[[], bytes]] = {
    "png": lambda: _png_with(chunk(b"pHYs", b"\0"))[:-30],
    "jpg": lambda: _jpeg_with(0xE0, b"JFIF")[:-60],
    "tif": lambda: _encoded("TIFF", description="x" * 99)[:-20],
    "avif": lambda: _avif_with(NOT_TIFF)[:-20],
}


@pytest.mark.parametrize("suffix", SPOILT)
def test_damaged_pixels_are_refused_whatever_the_metadata(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"spoilt.{suffix}"
    path.write_bytes(SPOILT[suffix]())
    assert metadata.without(path) is not None
    with pytest.raises(ConfigError, match="damaged"):
        images.load(str(path), "content.path")


def test_pictures_without_metadata_have_none_to_remove(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "AVIF"):
        path.write_bytes(_encoded(kind))
        assert metadata.without(path) is None
