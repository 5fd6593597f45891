"""Every kind of picture file comes out as the RGB that a person sees, or is refused in one line."""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageCms

from nst import images
from nst.config.compose import conf_dir
from nst.images import decode, procedural
from nst.utils.errors import ConfigError
from nst.utils.files import save_png
from tests.pictures import ADOBE_RGB, DISPLAY_P3, SRGB_CURVE, chunk, png, profile

RED, GREY = (220, 40, 30), (120, 120, 120)


def _picture(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Left half red, right half grey."""
    image = Image.new("RGB", size, GREY)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def _pixels(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    image = images.load(str(path), "content.path").image
    assert image.mode == "RGB"
    width, height = image.size
    left, right = (
        image.getpixel((width // 4, height // 2)),
        image.getpixel((width - 3, height // 2)),
    )
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    return left, right


SUFFIXES = {
    "JPEG": "jpg",
    "PNG": "png",
    "WebP": "webp",
    "TIFF": "tif",
    "GIF": "gif",
    "BMP": "bmp",
    "AVIF": "avif",
    "JPEG 2000": "jp2",
    "HEIC": "heic",
}


@pytest.mark.parametrize("name", decode.FORMATS)
def test_formats(tmp_path: Path, name: str) -> None:
    if name == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = tmp_path / f"picture.{SUFFIXES[name]}"
    _picture().save(path)
    left, right = _pixels(path)
    assert left == pytest.approx(RED, abs=8)
    assert right == pytest.approx(GREY, abs=8)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("CMYK", "jpg"), ("CMYK", "tif"), ("RGBA", "png"), ("RGBA", "webp")],
)
def test_modes_keep_their_colours(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    _picture(mode).save(path)
    left, right = _pixels(path)
    assert left == pytest.approx(RED, abs=12)
    assert right == pytest.approx(GREY, abs=12)


def test_palette(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    _picture().quantize(8).save(path)
    with Image.open(path) as image:
        assert image.mode == "P"
    left, right = _pixels(path)
    assert left == pytest.approx(RED, abs=8)
    assert right == pytest.approx(GREY, abs=8)


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("LA", "png"), ("1", "tif")])
def test_grey(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.new("L", (20, 20), 255).convert(mode).save(path)
    assert _pixels(path) == ((255, 255, 255), (255, 255, 255))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    ramp = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    Image.fromarray(ramp).save(path)
    array = np.array(images.load(str(path), "content.path").image)
    assert array.shape == (30, 40, 3)
    np.testing.assert_allclose(array[..., 0], ramp / 257, atol=0.51)


def test_sixteen_bit_rgb_png(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(png(np.full((4, 4, 3), RED, np.uint16) * 257, 16))
    assert _pixels(path)[0] == RED


def test_sixteen_bit_rgb_tiff(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    deep = np.full((4, 4, 3), RED, np.uint16) * 257
    tifffile.imwrite(path, deep, photometric="rgb")
    assert _pixels(path)[0] == RED


def test_transparent_is_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (20, 20), (200, 0, 0, 0)).save(path)
    assert _pixels(path)[0] == (255, 255, 255)
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([200, 0, 0])
    palette.save(path, transparency=0)
    assert _pixels(path)[0] == (255, 255, 255)


@pytest.mark.parametrize(
    ("depth", "colour", "other"),
    [
        (1, [0], [1]),
        (2, [1], [2]),
        (4, [5], [6]),
        (8, [90], [91]),
        (16, [1000], [1001]),
        (8, [9, 8, 7], [9, 8, 6]),
        (16, [1000, 2000, 3000], [1000, 2000, 3001]),  # the same in 8 bits
    ],
)
def test_the_transparent_value_of_a_png(
    tmp_path: Path, depth: int, colour: list[int], other: list[int]
) -> None:
    """Left half one value, right half another; a chunk says that the first is transparent."""
    samples = np.empty((4, 8, len(colour)), np.uint16)
    samples[:, :4], samples[:, 4:] = colour, other
    path = tmp_path / "keyed.png"
    key = np.asarray(colour, ">u2").tobytes()
    path.write_bytes(png(samples, depth, chunk(b"tRNS", key)))
    shown = np.asarray(images.load(str(path), "content.path").image).astype(int)
    assert (shown[:, :4] == 255).all()
    expected = np.asarray(other) * 255 / (2**depth - 1)
    np.testing.assert_allclose(shown[:, 4:], np.broadcast_to(expected, (4, 4, 3)), atol=1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_exif_rotation(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rotated.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn a quarter clockwise to see it
    _picture().save(path, exif=exif, quality=95)
    image = images.load(str(path), "content.path").image
    assert image.size == (30, 40)
    assert image.getpixel((15, 5)) == pytest.approx(RED, abs=8)
    assert image.getpixel((15, 35)) == pytest.approx(GREY, abs=8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [b"\3\0\1\0\0\0", b"\4\0\1\0\0\0"], ids=["short", "long"])
def test_every_orientation(tmp_path: Path, orientation: int, kind: bytes) -> None:
    """As EXIF 2.3 has it: where the stored picture's first row and first column are seen."""
    path = tmp_path / "turned.png"
    exif = b"II*\0\x08\0\0\0\1\0\x12\1" + kind + bytes([orientation, 0, 0, 0]) + bytes(4)
    stored = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    path.write_bytes(png(stored, 8, chunk(b"eXIf", exif)))
    seen = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: stored[::-1].transpose(1, 0, 2),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: stored[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    np.testing.assert_array_equal(images.load(str(path), "content.path").image, seen)


def test_colour_profile(tmp_path: Path) -> None:
    """An sRGB profile changes nothing; a useless one is passed over."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    path = tmp_path / "plain.png"
    _picture().save(path, icc_profile=srgb.tobytes())
    assert _pixels(path)[0] == pytest.approx(RED, abs=2)
    _picture().save(path, icc_profile=profile.tobytes())  # does not fit the mode: shown as it is
    assert _pixels(path)[0] == RED
    _picture().save(path, icc_profile=b"broken")
    assert _pixels(path)[0] == RED


P3, ADOBE = profile(DISPLAY_P3, SRGB_CURVE), profile(ADOBE_RGB, [2.19921875])
GREY_18 = profile(None, [1.8])
STORED = (200, 60, 40)
SEEN = {P3: (217, 42, 23), ADOBE: (232, 57, 34)}
"""What the pixels ``STORED`` look like in sRGB."""


def _seen_grey(value: int, exponent: float = 1.8) -> int:
    """The sRGB value of a grey value."""
    light = (value / 255) ** exponent
    return round(255 * (1.055 * light ** (1 / 2.4) - 0.055))


def _on_white(colour: tuple[int, ...], alpha: int) -> tuple[int, ...]:
    return tuple(round((value * alpha + 255 * (255 - alpha)) / 255) for value in colour)


@pytest.mark.parametrize("embedded", [P3, ADOBE], ids=["p3", "adobe"])
@pytest.mark.parametrize("alpha", [255, 128, 0])
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("RGB", suffix) for suffix in ("png", "tif", "jpg", "webp", "avif")),
        *(("RGBA", suffix) for suffix in ("png", "tif", "webp", "avif")),
        *(("P", "png"), ("P", "tif"), ("PA", "tif")),
    ],
)
def test_a_profile_counts_in_every_colour_mode(
    tmp_path: Path, mode: str, suffix: str, alpha: int, embedded: bytes
) -> None:
    path = tmp_path / f"wide.{suffix}"
    image = Image.new("RGB", (32, 32), STORED)
    options: dict[str, Any] = {"webp": {"lossless": True}, "tif": {}}.get(suffix, {"quality": 100})
    if mode.startswith("P"):
        image = image.quantize(2)
        if suffix == "png":
            options = {"transparency": bytes([alpha] * 2)}
        elif mode == "PA":
            image = image.convert("PA")
    if mode.endswith("A"):
        image.putalpha(alpha)
    elif "transparency" not in options:
        alpha = 255
    assert image.mode == mode
    image.save(path, icc_profile=embedded, **options)
    expected = _on_white(SEEN[embedded], alpha)
    assert _pixels(path)[0] == pytest.approx(expected, abs=4 if suffix in ("jpg", "avif") else 1)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("L", "jpg"), ("L", "tif"), ("LA", "png"), ("I;16", "png")]
)
@pytest.mark.parametrize("value", [20, 100, 200])
def test_a_profile_counts_in_grey(tmp_path: Path, mode: str, suffix: str, value: int) -> None:
    path = tmp_path / f"grey.{suffix}"
    image = Image.new("L", (20, 20), value).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    image.save(path, icc_profile=GREY_18)
    assert _pixels(path)[0] == pytest.approx((_seen_grey(value),) * 3, abs=1)


def test_a_profile_counts_in_16_bit_grey_with_alpha(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    packed = chunk(b"iCCP", b"grey\0\0" + zlib.compress(GREY_18))
    path.write_bytes(png(np.full((4, 4, 2), [100 * 257, 65535]), 16, packed))
    assert _pixels(path)[0] == pytest.approx((_seen_grey(100),) * 3, abs=1)


MISFITS = {
    "cmyk": profile(DISPLAY_P3, SRGB_CURVE, b"CMYK"),
    "cut": P3[:200],
    "empty": b"",
    "byte": b"\0",
}


@pytest.mark.parametrize(
    ("mode", "embedded"),
    [
        *((mode, embedded) for mode in ("L", "RGB", "RGBA", "P") for embedded in MISFITS.values()),
        *((mode, GREY_18) for mode in ("RGB", "RGBA", "P")),
        ("L", P3),
    ],
)
def test_a_profile_that_does_not_fit_is_ignored(tmp_path: Path, mode: str, embedded: bytes) -> None:
    path = tmp_path / "plain.png"
    colour = (90, 90, 90) if mode == "L" else STORED
    Image.new("RGB", (20, 20), colour).convert(mode).save(path, icc_profile=embedded)
    with Image.open(path) as image:
        shown = image.convert("RGB").getpixel((0, 0))
    assert _pixels(path)[0] == shown


def test_gamma_without_a_profile_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "gamma.png"
    gamma, primaries = chunk(b"gAMA", (100_000).to_bytes(4, "big")), chunk(b"cHRM", bytes(32))
    path.write_bytes(png(np.full((4, 4, 3), STORED), 8, gamma, primaries))
    assert _pixels(path)[0] == STORED


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "CMYK"])
def test_other_colour_spaces(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "other.tif"
    _picture().convert(mode).save(path)
    left, right = _pixels(path)
    assert left == pytest.approx(RED, abs=2)
    assert right == pytest.approx(GREY, abs=2)


def _ramp(dtype: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """(8, 32, 3): values over all of the type's range, and what they are in 8 bits."""
    shown = np.random.default_rng(0).integers(0, 256, (8, 32, 3), dtype=np.uint8)
    if dtype.startswith("float"):
        return (shown / 255).astype(dtype), shown
    return shown.astype(dtype) * (np.iinfo(dtype).max // 255), shown


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float16", "float32", "float64"])
def test_deep_tiffs(tmp_path: Path, dtype: str, big: bool, order: Any) -> None:
    """Byte orders, planes and types that Pillow cannot read, or misreads, are read all the same."""
    path = tmp_path / "deep.tif"
    stored, shown = _ramp(dtype)
    grey = np.repeat(shown[..., :1], 3, -1)

    def check(array: NDArray[Any], expected: NDArray[np.uint8], **layout: Any) -> None:
        tifffile.imwrite(path, array, byteorder=order, bigtiff=big, **layout)
        image = images.load(str(path), "content.path").image
        np.testing.assert_allclose(np.asarray(image).astype(int), expected, atol=1)

    check(stored, shown, photometric="rgb")
    check(stored, shown, photometric="rgb", compression="zlib")
    check(stored.transpose(2, 0, 1), shown, photometric="rgb", planarconfig="separate")
    if dtype != "uint32":
        check(stored[..., 0], grey, photometric="minisblack")
        check(stored[..., 0], 255 - grey, photometric="miniswhite")
    clear = np.concatenate([stored, np.zeros_like(stored[..., :1])], -1)
    check(clear, np.full_like(shown, 255), photometric="rgb", extrasamples=["unassalpha"])


def test_a_deep_tiff_has_profile_and_orientation(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    tags = [(34675, 7, len(P3), P3, True), (274, 3, 1, 6, True)]
    array = np.broadcast_to(np.asarray(STORED, np.float32) / 255, (20, 30, 3))
    tifffile.imwrite(path, array, photometric="rgb", extratags=tags)
    image = images.load(str(path), "content.path").image
    assert image.size == (20, 30)
    assert image.getpixel((3, 3)) == pytest.approx(SEEN[P3], abs=1)


def test_twelve_bit_grey_tiff(tmp_path: Path) -> None:
    path = tmp_path / "twelve.tif"
    packed = bytes.fromhex("fff000800fff")  # 4095, 0, 2048, 4095
    tifffile.imwrite(path, np.frombuffer(packed, np.uint8).reshape(1, 6), photometric="minisblack")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for name, value in (("BitsPerSample", 12), ("ImageWidth", 4)):
            at = file.pages.first.tags[name].valueoffset
            data[at : at + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)
    image = images.load(str(path), "content.path").image
    assert np.asarray(image)[0, :, 0].tolist() == [255, 0, 128, 255]


def test_the_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for suffix in ("gif", "png", "webp", "tif", "avif"):
        path = tmp_path / f"two.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
        assert _pixels(path)[0] == pytest.approx((255, 0, 0), abs=8)


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(ConfigError, match=r"HEIC.*pip install pillow-heif$"):
        images.load(str(path), "content.path")


@pytest.mark.parametrize(
    ("name", "why"),
    [("twelve_bits.jpg", "12-bit"), ("floats.tif", "float32 rgb"), ("palette.tif", "palette")],
)
def test_known_formats_of_a_kind_that_is_not_read(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    if name == "twelve_bits.jpg":
        _picture().save(path)
        data = path.read_bytes()
        at = data.index(b"\xff\xc0") + 4
        path.write_bytes(data[:at] + b"\x0c" + data[at + 1 :])
    elif name == "floats.tif":
        tifffile.imwrite(path, np.zeros((4, 4, 3), np.float32), photometric="rgb")
        with tifffile.TiffFile(path) as file:
            at = file.pages.first.tags["Compression"].valueoffset
        data = path.read_bytes()
        path.write_bytes(data[:at] + b"\5\0" + data[at + 2 :])  # LZW
    else:
        colours = np.zeros((3, 256), np.uint16)
        options: dict[str, Any] = {"byteorder": ">", "bigtiff": True}
        flat = np.zeros((4, 4), np.uint8)
        tifffile.imwrite(path, flat, photometric="palette", colormap=colours, **options)
    with pytest.raises(ConfigError) as caught:
        images.load(str(path), "content.path")
    text = str(caught.value)
    assert why in text
    assert "save it as an 8-bit PNG" in text
    assert "allowed:" not in text
    assert "\n" not in text


def test_the_help_lists_the_formats() -> None:
    footer = yaml.safe_load((Path(conf_dir()) / "hydra/help/nst.yaml").read_text())["footer"]
    listed = " ".join(footer.split()).split("Pictures: a ")[1].split(" file,")[0]
    assert listed.replace(" or ", ", ").split(", ") == [*decode.FORMATS]


def _bad(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    whole = io.BytesIO()
    _picture(size=(200, 200)).save(whole, format="JPEG")
    png = io.BytesIO()
    _picture(size=(200, 200)).save(png, format="PNG")
    content = {
        "empty.png": b"",
        "text.png": b"not a picture",
        "page.jpg": b"<html><script>alert(1)</script></html>",
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        "short.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "short.png": png.getvalue()[: len(png.getvalue()) // 2],
        "animation.gif": b"GIF89a" + bytes(20),
    }[name]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "empty.png",
        "text.png",
        "page.jpg",
        "drawing.svg",
        "short.jpg",
        "short.png",
        "animation.gif",
    ],
)
def test_what_is_no_whole_picture_is_refused(tmp_path: Path, name: str) -> None:
    path = _bad(tmp_path, name)
    with pytest.raises(ConfigError) as caught:
        images.load(str(path), "content.path")
    text = str(caught.value)
    assert text.startswith("content.path=")
    assert name in text
    assert "\n" not in text
    assert caught.value.exit_status == 2


def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20000, 20000)).save(path)  # 400 megapixels in some 50 kB
    with pytest.raises(ConfigError, match="100,000,000 pixels"):
        images.load(str(path), "content.path")


def test_only_our_limit_of_pixels_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns of a decompression bomb from 89 megapixels on."""
    path = tmp_path / "large.png"
    _picture(size=(40, 30)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert images.load(str(path), "content.path").image.size == (40, 30)


def test_missing_folder_and_unknown_builtin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        images.load(str(tmp_path / "no.png"), "style.path")
    with pytest.raises(ConfigError, match="is a folder"):
        images.load(str(tmp_path), "style.path")
    with pytest.raises(ConfigError, match="chelsea"):
        images.load("builtin:cat", "style.path")


def test_a_newline_in_a_name_does_not_start_a_second_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        images.load(str(tmp_path / "a\nb.png"), "style.path")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", images.builtin_names())
def test_builtin_pictures(name: str) -> None:
    picture = images.load(f"builtin:{name}", "content.path")
    assert picture.image.mode == "RGB"
    assert min(picture.image.size) >= 256
    assert np.array(picture.image).std() > 10  # something is on it


@pytest.mark.parametrize("name", procedural.NAMES)
def test_drawn_pictures_are_the_same_each_time(name: str) -> None:
    assert procedural.draw(name).tobytes() == procedural.draw(name).tobytes()


def test_fit() -> None:
    assert images.fit((400, 300), 150) == (150, 200)
    assert images.fit((300, 400), 150) == (200, 150)
    assert images.fit((1000, 10), 64) == (64, 6400)


def test_pixels_survive_saving(tmp_path: Path) -> None:
    image = _picture()
    tensor = images.to_tensor(images.Picture("p", image), 30, 40)
    assert tensor.shape == (3, 30, 40)
    save_png(images.to_image(tensor), tmp_path / "p.png")
    saved = images.load(str(tmp_path / "p.png"), "content.path")
    assert saved.image.tobytes() == image.tobytes()
    assert saved.sha256 == images.Picture("other name", image).sha256
