"""Every kind of picture file comes out as the RGB that a person sees, or is refused in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from nst import images, procedural
from nst.errors import ConfigError
from nst.files import save_png

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


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
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
    """Pillow cannot write one, so the file is put together by hand."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = b"\0" + b"".join(struct.pack(">HHH", *(v * 257 for v in RED)) for _ in range(4))
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row * 4))
        + chunk(b"IEND", b"")
    )
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


def test_exif_rotation(tmp_path: Path) -> None:
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn a quarter clockwise to see it
    _picture().save(path, exif=exif, quality=95)
    image = images.load(str(path), "content.path").image
    assert image.size == (30, 40)
    assert image.getpixel((15, 5)) == pytest.approx(RED, abs=8)
    assert image.getpixel((15, 35)) == pytest.approx(GREY, abs=8)


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
