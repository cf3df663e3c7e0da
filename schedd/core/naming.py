"""Which recipe a name means, and whether the pool's policy allows it.

A name is looked up among the user's own, then the pool's, then the ready ones of the store.
"""

import re
from collections.abc import Mapping

from contract.messages import Recipe
from contract.problems import Problem
from contract.requests import DomainAsked
from dsl.dockerfile import check
from dsl.domains import BadPackage, Entry, with_packages
from dsl.submit.mistakes import nearest
from schedd.core.domains import NamedDomain
from schedd.core.pool import Pool

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MOST_ARGUMENTS = 100
SHA256 = re.compile(r"[0-9a-f]{64}")


def resolved(pool: Pool, owner: str, asked: DomainAsked) -> DomainAsked:
    """The same with its recipe put in, checked; or a Problem."""
    recipe, usual = _meant(pool, owner, asked)
    if asked.arguments:
        recipe = Recipe(recipe.dockerfile, {**recipe.arguments, **asked.arguments}, recipe.context)
    try:
        text = with_packages(recipe.dockerfile, asked.packages, usual)
    except BadPackage as bad:
        raise Problem("bad_domain", f"{bad}.", "Write, say: packages = numpy>=2, apt:graphviz") from None
    recipe = Recipe(text, recipe.arguments, recipe.context)
    check_recipe(pool, recipe, asked.name or "Dockerfile")
    return DomainAsked(asked.name, recipe, asked.packages, asked.arguments)


def _meant(pool: Pool, owner: str, asked: DomainAsked) -> tuple[Recipe, str]:
    if asked.recipe is not None:
        return asked.recipe, "pip"
    named = named_domain(pool, owner, asked.name)
    if named is not None:
        return named.recipe, "pip"
    entry = pool.store.get(asked.name)
    if entry is not None:
        return Recipe(entry.dockerfile), entry.packages
    known = sorted({*pool.store, *(name for who, name in pool.domains if who in ("", owner))})
    guess = nearest(asked.name, known)
    raise Problem("no_such_domain", f"There is no domain {asked.name[:80]!r} in this pool.",
                  f"Did you mean {guess}? " * bool(guess) + "See them all: pesc_domain list.")


def named_domain(pool: Pool, owner: str, name: str) -> NamedDomain | None:
    """The user's own of that name, else the pool's."""
    return pool.domains.get((owner, name)) or pool.domains.get(("", name))


def check_recipe(pool: Pool, recipe: Recipe, name: str) -> None:
    """What can be said of it before it is built; every mistake at once."""
    if len(recipe.arguments) > MOST_ARGUMENTS:
        raise Problem("bad_domain", f"A domain has at most {MOST_ARGUMENTS} arguments.", "Write a Dockerfile.")
    if recipe.context is not None and not (SHA256.fullmatch(recipe.context.sha256) and recipe.context.tree):
        raise Problem("bad_domain", "The files of the domain are not named by a SHA-256.", "Use pesc_submit.")
    found = check(recipe.dockerfile, name, allowed=pool.settings.allowed_images, arguments=recipe.arguments)
    if found.mistakes:
        raise Problem("bad_domain", f"The domain {name} cannot be built.\n" + "\n".join(map(str, found.mistakes)),
                      "Mend its Dockerfile and try again.")


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Problem("bad_domain", f"{name[:80]!r} cannot be the name of a domain.",
                      "Small letters, digits, - and _ make one, a letter first.")


def store_of(entries: Mapping[str, tuple[str, str]]) -> dict[str, Entry]:
    """The ready domains, of their TOML texts and Dockerfiles by name."""
    from dsl.domains import entry_of

    return {name: entry_of(name, about, dockerfile) for name, (about, dockerfile) in sorted(entries.items())}
