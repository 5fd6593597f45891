"""What of a machine decides the bits of a picture: run folders record it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def facts(device: torch.device) -> dict[str, Any]:
    """What a run on this device depends on, for ``run.json``.

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


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed between two ``run.json`` that decides bits: ``["threads 1, now 2"]``.

    What one of them does not say is not compared: it may be of an older version.
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
    """Model of the processor; its architecture if the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, models), "") or platform.processor() or platform.machine()


def _instruction_sets() -> list[str]:
    """What PyTorch's own kernels use, and what makes ``precision=auto`` bfloat16."""
    found = {
        torch.backends.cpu.get_cpu_capability(): True,  # AVX2, AVX512, DEFAULT, …
        "AVX512-BF16": torch.cpu._is_avx512_bf16_supported(),
        "AMX": torch.cpu._is_amx_tile_supported(),
    }
    return [name for name, there in found.items() if there]
