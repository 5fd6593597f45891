"""How to change the value of every key of the schema, for properties of all keys."""

from __future__ import annotations

TINY = ("image.size=32", "steps=4", "snapshot_every=4", "logger=none", "precision=32")
SMALL = ("layers.content=[conv2_1]", "layers.style=[conv1_1,conv2_1]")
GAUSSIAN = "init=noise init.kind=gaussian"
BLEND = "content=blend"

TWO_STYLES = "style.path=[builtin:brick,builtin:waves]"
HALVES = "guidance.content=[builtin:top,builtin:rest]"
REGIONS = f"guidance=masks {HALVES}"

ALTERED = {
    "task": ("style=brick", "task=texture_synthesis init=noise"),
    "content.path": ("", "content=coffee"),
    "content.source": (BLEND, "content.source=builtin:coffee"),
    "content.target": (BLEND, "content.target=builtin:china"),
    "content.mask": (BLEND, "content.mask=builtin:rectangle"),
    "content.position": (BLEND, "content.position=[0.4,0.4]"),
    "content.scale": (BLEND, "content.scale=0.3"),
    "content.gradients": (BLEND, "content.gradients=mixed"),
    "style.path": ("", "style=waves"),
    "style.size": ("", "style.size=40"),
    "style.scale": ("", "style.scale=0.5"),
    "style.weights": (TWO_STYLES, "style.weights=[1,2]"),
    "style.mix": (TWO_STYLES, "style.mix=0.3"),
    "guidance.name": (f"{TWO_STYLES} {HALVES}", "guidance=masks"),
    "guidance.content": (f"{TWO_STYLES} {REGIONS}", "guidance.content=[builtin:left,builtin:rest]"),
    "guidance.style": (f"{TWO_STYLES} {REGIONS}", "guidance.style=[builtin:ellipse,null]"),
    "guidance.erode": (f"{TWO_STYLES} {REGIONS}", "guidance.erode=true"),
    "colour": ("", "colour=match"),
    "image.size": ("", "image.size=48"),
    "content_loss": ("", "content_loss=self_similarity"),
    "style_loss": ("", "style_loss=moments"),
    "layers.content": ("", "layers.content=[conv1_1]"),
    "layers.style": ("", "layers.style=[conv1_1,conv1_2]"),
    "layer_weights.content": ("", "layer_weights.content=gatys"),
    "layer_weights.style": ("", "layer_weights.style=[1,2]"),
    "weights.content": ("", "weights.content=7"),
    "weights.style": ("", "weights.style=7"),
    "weights.tv": ("", "weights.tv=7"),
    "weights.spectrum": ("", "weights.spectrum=7"),
    "normalize.activations": ("", "normalize.activations=false"),
    "normalize.layers": ("", "normalize.layers=sum"),
    "init.name": ("", "init.name=style"),
    "init.kind": ("init=noise", "init.kind=gaussian"),
    "init.mean": (GAUSSIAN, "init.mean=0.4"),
    "init.std": (GAUSSIAN, "init.std=0.1"),
    "init.noise": ("init=blend", "init.noise=0.1"),
    "init.path": ("init=file init.path=builtin:coffee", "init.path=builtin:brick"),
    "seed": ("init=noise", "seed=1"),
    "steps": ("", "steps=5"),
    "optimizer": ("", "optimizer.lr=0.3"),
    "schedule.name": ("", "schedule.name=mine"),
    "schedule.sizes": ("schedule=pyramid image.size=64", "schedule.sizes=[0.3,0.5,1]"),
    "schedule.steps": ("schedule=pyramid image.size=64 steps=9", "schedule.steps=[1,1,2]"),
    "schedule.style": ("schedule=pyramid image.size=64", "schedule.style=[0.1,1,1]"),
    "schedule.precise": ("precision=bf16", "schedule.precise=0.5"),
    "precision": ("", "precision=bf16"),
    "compile": ("", "compile=default"),
    "backbone.name": ("", "backbone.name=vgg16"),
    "backbone.source": ("", "backbone.source=torchvision"),
    "backbone.path": ("", "backbone.path=weights.pt"),
    "backbone.sha256": ("", "backbone.sha256=abc"),
    "backbone.order": ("", "backbone.order=bgr"),
    "backbone.pooling": ("", "backbone.pooling=average"),
    "backbone.padding": ("", "backbone.padding=replicate"),
    "backbone.tiling": ("", "backbone.tiling=always"),
    "snapshot_every": ("", "snapshot_every=2"),
    "checkpoint_seconds": ("", "checkpoint_seconds=0"),
    "divergence": ("", "divergence=null"),
    "learned_metrics": ("", "learned_metrics=[lpips,dists]"),
    "pairs": ("", "pairs=null"),  # those of a run are its overrides
    "outputs": ("", "outputs=elsewhere"),
    "force": ("", "force=true"),
    "retry": ("", "retry=failed"),
    "trainer": ("", "+trainer.max_time=00:01:00:00"),
    "logger": ("", "logger=csv"),
    "experiment": ("", "experiment.title=mine"),
    "run.signature": ("", "run.signature=abc"),
    "run.folder": ("", "run.folder=abc"),
    "run.name": ("", "run.name=abc"),
    "run.group": ("", "run.group=abc"),
    "run.tags": ("", "run.tags=[abc]"),
    "run.wandb_id": ("", "run.wandb_id=abc"),
    "run.overrides": ("", "run.overrides=[abc]"),
}
"""Of every key: overrides under which it counts, and such that change its value."""
