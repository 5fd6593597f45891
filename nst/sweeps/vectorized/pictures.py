"""Holds each picture of a sweep once, while a run needs it."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakValueDictionary

from nst.images.picture import Picture
from nst.transfer.run import Run


class SharedPictures:
    """The pictures of the runs that are alive."""

    def __init__(self) -> None:
        self._pictures: WeakValueDictionary[tuple[str, ...], Picture] = WeakValueDictionary()

    def share(self, run: Run) -> Run:
        """The run with the pictures of earlier ones where they are equal."""
        return replace(
            run,
            content=run.content and self._once(run.content),
            styles=tuple(replace(each, picture=self._once(each.picture)) for each in run.styles),
            init=run.init and self._once(run.init),
            grey=run.grey and self._once(run.grey),
        )

    def _once(self, picture: Picture) -> Picture:
        # equal blends may have different parts
        parts = [Picture(name, image).sha256 for name, image in picture.parts.items()]
        return self._pictures.setdefault((picture.name, picture.sha256, *parts), picture)
