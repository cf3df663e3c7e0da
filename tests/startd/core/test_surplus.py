"""Which images go: the rules, for all sets of images."""

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from startd.core.surplus import KeptImage, room, surplus

LAYERS = {"a": 1, "b": 20, "c": 300, "d": 4000}


def an_image(id: str, layers: str, needed_at: float = 0.0) -> KeptImage:
    return KeptImage(id, sum(LAYERS[layer] for layer in layers), tuple(layers), needed_at)


@st.composite
def images(draw: Callable[..., object]) -> list[KeptImage]:
    stacks = draw(st.lists(st.text("abcd", min_size=1, max_size=4), max_size=8))
    assert isinstance(stacks, list)
    return [an_image(f"{number}", stack, draw(st.integers(0, 5)))  # type: ignore[arg-type]
            for number, stack in enumerate(stacks)]


NEEDED = st.sets(st.integers(0, 7).map(str))
LIMIT = st.integers(0, 10_000)


@given(images(), NEEDED, LIMIT)
def test_what_is_needed_stays_and_so_does_what_it_is_made_on(images, needed, limit):
    going = set(surplus(images, needed, limit))
    kept = [image for image in images if image.id not in going]
    assert not going & needed
    for image in images:
        if image.id in needed:
            below = [other for other in images if len(other.layers) < len(image.layers)
                     and image.layers[: len(other.layers)] == other.layers]
            assert all(other in kept for other in below)


@given(images(), NEEDED, LIMIT)
def test_what_stays_is_within_the_bound_or_somebody_needs_it(images, needed, limit):
    going = set(surplus(images, needed, limit))
    kept = [image for image in images if image.id not in going]
    assert room(kept) <= limit or all(
        any(other.id in needed and other.layers[: len(image.layers)] == image.layers for other in images)
        for image in kept)


@given(images(), NEEDED, LIMIT)
def test_no_more_goes_than_has_to(images, needed, limit):
    going = surplus(images, needed, limit)
    assert room([image for image in images if image.id not in set(going[:-1])]) > limit or not going


@given(images(), NEEDED, LIMIT, st.randoms(use_true_random=False))
def test_the_order_in_which_images_are_listed_decides_nothing(images, needed, limit, random: random.Random):
    assert surplus(random.sample(images, len(images)), needed, limit) == surplus(images, needed, limit)


def test_what_was_needed_least_recently_goes_first():
    images = [an_image("late", "b", 3), an_image("early", "c", 1), an_image("between", "d", 2)]
    assert surplus(images, (), 300) == ["early", "between"]


def test_a_layer_that_several_have_counts_once():
    assert room([an_image("base", "d"), an_image("one", "da"), an_image("two", "db")]) == 4021
    assert surplus([an_image("base", "d"), an_image("one", "da"), an_image("two", "db")], (), 4021) == []


def test_a_base_is_as_fresh_as_what_is_made_on_it():
    images = [an_image("base", "d", 1), an_image("made on it", "da", 9), an_image("other", "c", 5)]
    assert surplus(images, (), 4001) == ["other"]
