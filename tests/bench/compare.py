"""What a page of many runs weighs, and how fast it is: 200 runs with 21 snapshots of 256 px.

``make bench`` prints it. The runs are one real run under 200 names and seeds; their pictures are
the same files, which neither the page nor the browser can know.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from nst.compare.comparison import build
from nst.runner.record import read_facts
from tests.bench.loop import quiet
from tests.browser import opened
from tests.helpers import execute, prepared

RUNS = 200
SETTINGS = ("image.size=256", "steps=20", "snapshot_every=1", "init=noise", "logger=none")


def copies(run: Path, count: int) -> None:
    """Puts runs beside a run that are like it, with other seeds and weights."""
    config = (run / "config.yaml").read_text()
    facts = read_facts(run)
    for number in range(count):
        signature = f"{number:010x}"
        other = run.with_name(f"{run.name.rpartition('-')[0]}-{signature}")
        shutil.copytree(run, other, copy_function=os.link)
        for name in ("config.yaml", "run.json"):
            (other / name).unlink()
        changed = config.replace("seed: 0", f"seed: {number % 20}")
        changed = changed.replace("style: 100000.0", f"style: {10 ** (3 + number // 20)}.0")
        (other / "config.yaml").write_text(changed)
        (other / "run.json").write_text(json.dumps(facts | {"signature": signature}))
    shutil.rmtree(run)


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        with quiet():
            (run,) = execute([prepared(*SETTINGS, f"outputs={outputs}")])
        copies(run, RUNS)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            page = build(outputs)
            times.append(time.perf_counter() - began)
        sizes = {
            name: sum(path.stat().st_size for path in page.parent.glob(name)) / 1e6
            for name in ("filmstrips/*.webp", "runs.js", "plotly.min.js", "index.html")
        }
        made, again = times
        print(f"{RUNS} runs, 21 snapshots of 256 px: made in {made:.1f} s, again {again:.1f} s")
        print("MB: " + ", ".join(f"{name} {size:.2f}" for name, size in sizes.items()))
        sharp = (
            "() => { const there = [...document.querySelectorAll('#grid .cell')].filter(cell => {"
            "const box = cell.getBoundingClientRect();"
            "return box.top < innerHeight && box.bottom > 0 && box.left < innerWidth"
            " && box.right > 0 });"
            "return there.length && there.every(cell => cell.querySelector('.sharp.on')) }"
        )
        began = time.perf_counter()
        with opened(page) as (browser, _):
            launched = browser.evaluate("performance.timeOrigin / 1000")
            browser.wait_for_function(sharp)
            print(f"opened, pictures in the window sharp: {time.time() - launched:.2f} s")
            browser.wait_for_function("document.querySelectorAll('#plot .trace').length > 100")
            print(f"all curves drawn: {time.time() - launched:.2f} s")
            cost = browser.evaluate(
                "() => { const began = performance.now();"
                "for (let index = 0; index < 20; index++) nst.scrub(index);"
                "return (performance.now() - began) / 20 }"
            )
            print(f"a move of the slider: {cost:.1f} ms of script")
            began = time.perf_counter()
            browser.locator("#slider").fill("5")
            browser.wait_for_function(sharp)
            print(f"sharp again after a move: {time.perf_counter() - began:.2f} s")
            memory = browser.evaluate("performance.memory.usedJSHeapSize / 1e6")
            print(f"heap of the page's script: {memory:.0f} MB")


if __name__ == "__main__":
    main()
