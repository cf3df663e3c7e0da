"""What people do with domains: give names, take them away, have images built, look."""

import msgspec

from contract.messages import AcknowledgeBuild, CancelBuild, Recipe
from contract.problems import Problem
from contract.requests import DomainAdd, DomainBuild, DomainShown
from contract.vocabulary import JobStatus
from schedd.core.building import NOTE_SECONDS, users_of, want
from schedd.core.domains import ImageBuild, NamedDomain, State, key_of_recipe
from schedd.core.naming import check_name, check_recipe, named_domain, resolved
from schedd.core.needs import parts_of, variants_of
from schedd.core.pool import Pool

MOST_NAMES = 10_000
TELLING = (State.BUILDING, State.FAILED, State.WANTED, State.READY)
"""Of the variants of a domain, one that is in the first of these states is shown."""
MOST_DESCRIPTION = 1_000

UNUSED_SECONDS = 30 * 86_400.0
"""What was built is kept for so long after it was needed last."""


def add(pool: Pool, now: float, user: str, is_admin: bool, wanted: DomainAdd) -> DomainShown:
    """Give a name to a recipe; the same name a second time means the new one from now on."""
    check_name(wanted.name)
    if wanted.everybody and not is_admin:
        raise Problem("not_allowed", "Only an administrator can add a domain for everybody.",
                      "Without --everybody it is yours alone.")
    if wanted.recipe is None or len(wanted.description) > MOST_DESCRIPTION or len(pool.domains) >= MOST_NAMES:
        raise Problem("bad_domain", "This is no domain that can be kept.", "Use the pesc_domain of this version.")
    if wanted.image is None:
        check_recipe(pool, wanted.recipe, wanted.name)
    if wanted.image is not None and variants_of(wanted.recipe) is not None:
        raise Problem("bad_domain", "An image that was brought in is one image; its recipe names variants.",
                      "Add the Dockerfile itself: pesc_domain add NAME FILE.")
    named = NamedDomain("" if wanted.everybody else user, wanted.name, wanted.recipe, now, user, wanted.description)
    pool.domains[named.owner, named.name] = named
    pool.outcome.domains.add((named.owner, named.name))
    if wanted.image is not None:
        _take_image(pool, key_of_recipe(wanted.recipe), wanted, user, now)
    elif wanted.build:
        _want_all(pool, wanted.recipe, wanted.name, user, now)
    return _of_name(pool, named)


def _want_all(pool: Pool, recipe: Recipe, name: str, user: str, now: float) -> None:
    for part in parts_of(recipe, pool.filing.processors):
        want(pool, part, name, user, now)


def _take_image(pool: Pool, key: str, wanted: DomainAdd, user: str, now: float) -> None:
    """An image that was brought in is ready, whatever was known of its recipe."""
    assert wanted.recipe is not None
    build = pool.builds.get(key)
    if build is not None and build.state is State.READY:
        return
    if build is not None and build.state is State.BUILDING and (machine := pool.machines.get(build.machine)):
        pool.outcome.send(machine.link, CancelBuild(key, build.attempt))
    pool.builds[key] = ImageBuild(key, wanted.recipe, wanted.name, user, now, State.READY, image=wanted.image,
                                  attempt=build.attempt if build else 0)
    pool.live.pop(key, None)
    pool.outcome.builds.add(key)
    pool.filing.ripe.update(cluster.id for cluster in users_of(pool, key))
    pool.filing.wanted = True


def remove(pool: Pool, now: float, user: str, is_admin: bool, name: str, everybody: bool) -> None:
    """Take a name away; the image goes with its last name and last job."""
    owner = "" if everybody else user
    if everybody and not is_admin:
        raise Problem("not_allowed", "Only an administrator can take away what is everybody's.", "")
    named = pool.domains.pop((owner, name), None)
    if named is None:
        _say_why_not(pool, user, name)
        return
    pool.outcome.domains.add((owner, name))
    kinds = pool.filing.processors
    still_named = {part.key for other in pool.domains.values() for part in parts_of(other.recipe, kinds)}
    for part in parts_of(named.recipe, kinds):
        if part.key in pool.builds and part.key not in still_named and not users_of(pool, part.key):
            _forget(pool, pool.builds[part.key])


def forget_unused(pool: Pool, now: float) -> list[str]:
    """Forget what no name and no job in the queue has needed for long; return what it was called."""
    kinds = pool.filing.processors
    needed = {part.key for named in pool.domains.values() for part in parts_of(named.recipe, kinds)}
    needed |= {part.key for cluster in pool.clusters.values() if cluster.needs is not None
               for part in cluster.needs.all_parts(kinds)}
    forgotten = []
    for build in list(pool.builds.values()):
        if build.used_at == 0.0 or (build.key in needed and now - build.used_at >= NOTE_SECONDS):
            build.used_at = now
            pool.outcome.builds.add(build.key)
        elif (build.key not in needed and now - build.used_at >= UNUSED_SECONDS
              and build.state in (State.READY, State.FAILED)):
            forgotten.append(build.label)
            _forget(pool, build)
    return forgotten


def _forget(pool: Pool, build: ImageBuild) -> None:
    key = build.key
    if build.state is State.BUILDING and (machine := pool.machines.get(build.machine)) is not None:
        pool.outcome.send(machine.link, CancelBuild(key, build.attempt))
        pool.outcome.send(machine.link, AcknowledgeBuild(key, build.attempt))
    del pool.builds[key]
    pool.live.pop(key, None)
    pool.outcome.builds.add(key)


def _say_why_not(pool: Pool, user: str, name: str) -> None:
    if name in pool.store:
        raise Problem("not_allowed", f"{name} is of the store that comes with PESC.",
                      f"To have another one of that name, add it: pesc_domain add {name} FILE.")
    if ("", name) in pool.domains:
        raise Problem("not_allowed", f"{name} is everybody's.",
                      f"An administrator may: pesc_domain rm --everybody {name}.")
    raise Problem("no_such_domain", f"You have no domain {name[:80]!r}.", "See yours: pesc_domain list.")


def build(pool: Pool, now: float, user: str, wanted: DomainBuild) -> DomainShown:
    """Have an image built before jobs need it; `again` if it failed before."""
    asked = resolved(pool, user, wanted.domain)
    assert asked.recipe is not None
    parts = parts_of(asked.recipe, pool.filing.processors)
    failed = any(part.key in pool.builds and pool.builds[part.key].state is State.FAILED for part in parts)
    if wanted.again or not failed:
        _want_all(pool, asked.recipe, asked.name, user, now)
    found = _of_recipe(pool, asked.recipe, asked.name)
    return msgspec.structs.replace(found, source="submitted", owner=found.owner or user,
                                   dockerfile=asked.recipe.dockerfile, parameters=dict(asked.recipe.arguments))


def shown(pool: Pool, user: str) -> list[DomainShown]:
    """All domains that the user can name, the nearest meaning first, and images without a name."""
    names = [named for (owner, _), named in sorted(pool.domains.items()) if owner in ("", user)]
    found = [_of_name(pool, named) for named in names]
    found += [_of_entry(pool, name) for name in pool.store]
    recipes = [*(named.recipe for named in names), *(Recipe(entry.dockerfile) for entry in pool.store.values())]
    keys = {part.key for recipe in recipes for part in parts_of(recipe, pool.filing.processors)}
    return found + [_of_build(pool, one) for _, one in sorted(pool.builds.items()) if one.key not in keys]


def one(pool: Pool, user: str, name: str) -> DomainShown:
    """One domain, by its name, its key or the beginning of its key."""
    named = named_domain(pool, user, name)
    if named is not None:
        return _of_name(pool, named)
    if name in pool.store:
        return _of_entry(pool, name)
    keys = [key for key in pool.builds if len(name) >= 6 and key.startswith(name)]
    if len(keys) == 1:
        return _of_build(pool, pool.builds[keys[0]])
    raise Problem("no_such_domain", f"There is no domain {name[:80]!r} in this pool.",
                  "See them all: pesc_domain list.")


def _of_name(pool: Pool, named: NamedDomain) -> DomainShown:
    found = _of_recipe(pool, named.recipe, named.name)
    return msgspec.structs.replace(found, source="user" if named.owner else "pool", owner=named.owner,
                                   description=named.description, dockerfile=named.recipe.dockerfile,
                                   parameters=dict(named.recipe.arguments))


def _of_entry(pool: Pool, name: str) -> DomainShown:
    entry = pool.store[name]
    found = _of_recipe(pool, Recipe(entry.dockerfile), name)
    return msgspec.structs.replace(found, source="store", description=entry.description,
                                   languages=list(entry.languages), parameters=entry.defaults,
                                   dockerfile=entry.dockerfile)


def _of_build(pool: Pool, known: ImageBuild) -> DomainShown:
    """An image that has no name, a variant, or a program."""
    # What is made for a kind of processor is found by its key; its name may mean several.
    return msgspec.structs.replace(
        _of_state(pool, known, "" if known.processor else known.name),
        source="program" if known.making is not None else "submitted", owner=known.owner,
        description=known.label if known.processor else "", dockerfile=known.recipe.dockerfile,
        parameters=dict(known.recipe.arguments))


def _of_recipe(pool: Pool, recipe: Recipe, name: str) -> DomainShown:
    """What is known of the images of a recipe; of several, of the one that tells most."""
    known = [build for part in parts_of(recipe, pool.filing.processors)
             if (build := pool.builds.get(part.key)) is not None]
    if not known:
        return DomainShown(name, key_of_recipe(recipe), "known", "")
    telling = min(known, key=lambda build: TELLING.index(build.state))
    variants = {build.processor: str(build.state) for build in known if build.processor}
    return msgspec.structs.replace(_of_state(pool, telling, name), variants=variants)


def _of_state(pool: Pool, known: ImageBuild, name: str) -> DomainShown:
    key = known.key
    live = pool.live.get(key)
    waiting = sum(cluster.state.counts.idle for cluster in users_of(pool, key)) if known.state is not State.READY else 0
    if known.state is State.FAILED:
        waiting = sum(cluster.rest for cluster in users_of(pool, key) if cluster.state.rest_status == JobStatus.HELD)
    return DomainShown(
        name, key, str(known.state), "", known.owner, machine=known.machine, step=live.step if live else 0,
        steps=live.steps if live else 0, instruction=live.instruction if live else "", image=known.image,
        failed_step=known.failed_step, message=known.message, lines=known.lines, since=known.since, jobs=waiting,
        processor=known.processor, command=known.making.command if known.making is not None else "")
