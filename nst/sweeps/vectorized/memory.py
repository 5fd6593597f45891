"""The free memory, and the memory of an image in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from nst.transfer.run import Run
from nst.vgg.architecture import convolutions, up_to

SHARE = 0.7
"""Share of the free memory to use: the rest is for other processes and errors of the estimate."""


def image_bytes(runs: Sequence[Run]) -> int:
    """Estimated memory of each image in a batch of these runs, bytes.

    It adds up what the backward pass needs of every layer up to the deepest, the optimiser's state
    and the targets. ``docs/vectorized.md`` compares it with measurements.

    Args:
        runs: that can share a batch.
    """
    config = runs[0].config
    taps = set().union(*(run.taps for run in runs))
    pixels = max(height * width for run in runs for height, width in map(run.shape, run.scales))
    rough = runs[0].resolved.precision == "bf16" and runs[0].float32_from == config.steps
    element = 2 if rough else 4
    losses = [each for run in runs for each in (run.loss("content"), run.loss("style")) if each]
    copies = max(loss.copies for loss in losses)
    # the features once more for each region
    copies += max(len(run.styles) if run.guided else 0 for run in runs)
    per_pixel, targets = 0.0, 0
    for layer in up_to(taps, config.backbone.name):
        values = layer.channels * layer.pixels
        # kept for the backward pass; the ReLU is in place, but not behind a tap
        per_pixel += values * element
        if {layer.name, layer.relu} & taps:
            # the layer once more, and what the losses keep
            per_pixel += values * (element + copies * 4)
            targets += layer.channels**2 * 4
    first = convolutions(config.backbone.name)[0]
    transient = 3 * first.channels * element  # for a moment: gradients of the first, widest layers
    return round(pixels * (per_pixel + transient + _state(runs))) + targets


def _state(runs: Sequence[Run]) -> float:
    """Bytes per pixel of the image, the best image, the snapshot and the optimiser's state."""
    config = runs[0].config
    history = min(config.optimizer.get("history_size", 1), config.steps)  # Adam: two moments
    return 3 * 4 * (2 * history + 12)


def available(device: torch.device) -> int:
    """Free memory of a device, or of this process's share of the system, bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # PyTorch reuses the memory that it has reserved
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min([psutil.virtual_memory().available, *_control_groups()])


def _control_groups(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Free memory within the limits of the process's control groups, versions 1 and 2.

    Cached files count as free. Empty where there is no limit.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = base / path.lstrip("/")
        # inside a container its own group is often the root
        for group in dict.fromkeys([folder, *folder.parents, base]):
            if group.is_relative_to(base):
                found += _left(group, *names)
    return found


def _left(group: Path, limit: str, usage: str, cache: str) -> list[int]:
    try:
        most = int((group / limit).read_text(encoding="ascii"))  # "max" where there is none
        used = int((group / usage).read_text(encoding="ascii"))
        rows = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = int(dict(row.split() for row in rows).get(cache, 0))
    except (OSError, ValueError):
        return []
    return [max(0, most - (used - cached))]
