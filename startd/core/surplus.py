"""Which images are to go when all together take more room than they may.

IMAGES-1: what somebody needs never goes, nor what that is made on.
IMAGES-2: beyond that, what was needed least recently goes first, and no more than has to.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

Layers = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptImage:
    """An image on this machine, as far as its staying is concerned."""

    id: str
    size: int
    """In bytes, with all its layers."""
    layers: Layers
    """From the lowest on; what two images begin with alike lies on the disk once."""
    needed_at: float


def surplus(images: Collection[KeptImage], needed: Collection[str], limit_bytes: int) -> list[str]:
    """The ids of those that go, in the order in which they go."""
    staying = {image.id: image for image in images}
    going: list[str] = []
    for image in sorted(images, key=lambda image: _turn(image, images)):
        if room(staying.values()) <= limit_bytes:
            break
        # By now all that is made on it went, or is needed; what others are made on frees nothing while they stay.
        if image.id not in needed and not any(_is_below(image.layers, other.layers) for other in staying.values()):
            del staying[image.id]
            going.append(image.id)
    return going


def _turn(image: KeptImage, images: Iterable[KeptImage]) -> tuple[float, int, str]:
    """Sort key: which image goes before others.

    1. what was needed least recently, itself or through what is made on it
    2. what is made on another before that
    3. the id, only to break ties the same way every time
    """
    made_on_it = (other.needed_at for other in images if _is_below(image.layers, other.layers))
    return max([image.needed_at, *made_on_it]), -len(image.layers), image.id


def room(images: Iterable[KeptImage]) -> int:
    """How many bytes they take together; a layer that several have counts once."""
    sizes = {image.layers: image.size for image in images}
    return sum(size - max((sizes[layers[:count]] for count in range(1, len(layers)) if layers[:count] in sizes),
                          default=0) for layers, size in sizes.items())


def _is_below(lower: Layers, upper: Layers) -> bool:
    return len(lower) < len(upper) and upper[: len(lower)] == lower
