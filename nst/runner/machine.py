"""Properties of a machine that affect whether a run is reproduced bit for bit."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def facts(device: torch.device) -> dict[str, Any]:
    """Properties of this machine for ``run.json``.

    Returns:
        ``device`` (``cpu``, or the GPU's name), ``processor`` (its model), ``instruction_sets``
        (which decide the kernels) and ``threads`` (which share the work of a kernel).
    """
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": _processor(),
        "instruction_sets": _instruction_sets(),
        "threads": torch.get_num_threads(),
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Changes between two ``run.json`` that may change bits: ``["threads 1, now 2"]``.

    Only what both record is compared: one may be of an older version.
    """
    found = []
    for name in ("device", "processor", "instruction_sets", "threads"):
        if name in before and name in now and before[name] != now[name]:
            found.append(f"{name.replace('_', ' ')} {_text(before[name])}, now {_text(now[name])}")
    for name in ("torch", "pillow"):
        old, new = (each.get("packages", {}).get(name) for each in (before, now))
        if old and new and old != new:
            found.append(f"{name} {old}, now {new}")
    return found


def _text(value: Any) -> str:
    return "+".join(value) if isinstance(value, list) else str(value)


def _processor() -> str:
    """Model of the processor, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, models), "") or platform.processor() or platform.machine()


def _instruction_sets() -> list[str]:
    """Those that PyTorch's kernels use, and those that make ``precision=auto`` bfloat16."""
    found = {
        torch.backends.cpu.get_cpu_capability(): True,  # AVX2, AVX512, DEFAULT, …
        "AVX512-BF16": torch.cpu._is_avx512_bf16_supported(),
        "AMX": torch.cpu._is_amx_tile_supported(),
    }
    return [name for name, there in found.items() if there]
