"""What the jobs of a cluster need built before they run: the image of their domain, and their program in it.

Mostly it is one image, the same for all machines. A domain with variants has one for each kind
of processor that it names (`dsl.dockerfile.processors`), and a program with `build = …` is made
on every kind of processor that the pool has. Whatever is needed has a key, made of all that it is
made from: what is the same is built once, whoever asks for it.
"""

import hashlib
import json
import posixpath
from collections.abc import Collection

import msgspec

from contract.messages import Making, Recipe
from contract.requests import Submission
from dsl.classad import Ad
from dsl.dockerfile import check
from dsl.dockerfile.processors import ARGUMENT, asked_variants, best
from schedd.core.domains import key_of_recipe

ANY = ""
"""Stands for every kind of processor."""


class Part(msgspec.Struct, frozen=True):
    """One thing that is to be built."""

    key: str
    recipe: Recipe
    processor: str = ANY
    """The kind that it is made for."""
    making: Making | None = None
    """A program, in the image whose key is `on`; else it is an image."""
    on: str = ""


class Needs:
    """What one cluster needs."""

    __slots__ = ("_known", "making", "recipe", "variants")

    def __init__(self, recipe: Recipe, making: Making | None = None) -> None:
        self.recipe = recipe
        self.making = making
        self.variants = variants_of(recipe)
        self._known: dict[str, tuple[Part, ...]] = {}

    @property
    def by_processor(self) -> bool:
        """Whether what is needed depends on the machine."""
        return self.making is not None or self.variants is not None

    def parts(self, processor: str) -> tuple[Part, ...]:
        """What must be there for a machine with this processor, in the order in which it is built.

        Nothing: its jobs cannot run there.
        """
        known = self._known.get(processor)
        if known is None:
            image = image_for(self.recipe, self.variants, processor)
            known = self._known[processor] = () if image is None else (
                (image,) if self.making is None else (image, _program_for(self.making, image, processor)))
        return known

    def all_parts(self, processors: Collection[str]) -> list[Part]:
        """All that is needed in a pool with these kinds, each once."""
        kinds = sorted(processors) if self.by_processor else [ANY]
        return list({part.key: part for kind in kinds for part in self.parts(kind)}.values())


def needs_of(submission: Submission, ad: Ad) -> Needs | None:
    """What the jobs of a submission need, None for nothing; `ad` is its template's."""
    asked = submission.domain
    if asked is None or asked.recipe is None:
        return None
    return Needs(asked.recipe, _making(submission, ad))


def variants_of(recipe: Recipe) -> tuple[str, ...] | None:
    """The kinds of processors that a recipe is built for; none: for each there is; None: one image for all."""
    if ARGUMENT not in recipe.dockerfile:
        return None
    return asked_variants(check(recipe.dockerfile, arguments=recipe.arguments).arguments, recipe.arguments)


def image_for(recipe: Recipe, variants: tuple[str, ...] | None, processor: str) -> Part | None:
    """The image for a machine with this processor."""
    if variants is None:
        return Part(key_of_recipe(recipe), recipe)
    made_for = best(variants, processor) if variants else processor
    if made_for is None:
        return None
    recipe = msgspec.structs.replace(recipe, arguments={**recipe.arguments, ARGUMENT: made_for})
    return Part(key_of_recipe(recipe), recipe, made_for)


def parts_of(recipe: Recipe, processors: Collection[str]) -> list[Part]:
    """The images of a recipe in a pool with these kinds of processors."""
    return Needs(recipe).all_parts(processors)


def _program_for(making: Making, image: Part, processor: str) -> Part:
    canonical = json.dumps(["program", 1, image.key, processor, making.command, making.sources.sha256,
                            "" if making.sources.tree else making.name, making.main], separators=(",", ":"))
    key = hashlib.sha256(canonical.encode()).hexdigest()
    return Part(key, image.recipe, processor, making, image.key)


def _making(submission: Submission, ad: Ad) -> Making | None:
    """What `build`, `process` and `main` say; None where nothing is made."""
    command, process, main, iwd = (_text(ad, name) for name in ("PescBuild", "PescProcess", "PescMain", "Iwd"))
    path = posixpath.normpath(posixpath.join(iwd or "/", process))
    sources = submission.files.get(path)
    if not command or not process or sources is None:
        return None
    return Making(command, sources, posixpath.basename(path), main)


def _text(ad: Ad, name: str) -> str:
    value = ad.evaluate(name)
    return value if isinstance(value, str) else ""
