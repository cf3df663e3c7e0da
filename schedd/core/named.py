"""What people do with domains: give names, take them away, have images built, look."""

import msgspec

from contract.messages import AcknowledgeBuild, CancelBuild, Recipe
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked, DomainBuild, DomainShown
from contract.vocabulary import JobStatus
from schedd.core.building import users_of, want
from schedd.core.domains import ImageBuild, NamedDomain, State, key_asked, key_of_recipe
from schedd.core.naming import check_name, check_recipe, named_domain, resolved
from schedd.core.pool import Pool

MOST_NAMES = 10_000
MOST_DESCRIPTION = 1_000


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
    named = NamedDomain("" if wanted.everybody else user, wanted.name, wanted.recipe, now, user, wanted.description)
    pool.domains[named.owner, named.name] = named
    pool.outcome.domains.add((named.owner, named.name))
    key = key_of_recipe(wanted.recipe)
    if wanted.image is not None:
        _take_image(pool, key, wanted, user, now)
    elif wanted.build:
        want(pool, key, wanted.recipe, wanted.name, user, now)
    return _of_name(pool, named)


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
    key = key_of_recipe(named.recipe)
    build = pool.builds.get(key)
    used = users_of(pool, key) or any(key_of_recipe(other.recipe) == key for other in pool.domains.values())
    if build is None or used:
        return
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
    key = key_asked(asked)
    assert asked.recipe is not None
    known = pool.builds.get(key)
    if known is not None and known.state is State.FAILED and not wanted.again:
        return _of_build(pool, known, asked)
    return _of_build(pool, want(pool, key, asked.recipe, asked.name, user, now), asked)


def shown(pool: Pool, user: str) -> list[DomainShown]:
    """All domains that the user can name, the nearest meaning first, and images without a name."""
    names = [named for (owner, _), named in sorted(pool.domains.items()) if owner in ("", user)]
    found = [_of_name(pool, named) for named in names]
    found += [_of_entry(pool, name) for name in pool.store]
    keys = {one.key for one in found}
    found += [_of_build(pool, one, DomainAsked(one.name, one.recipe)) for _, one in sorted(pool.builds.items())
              if one.key not in keys]
    return found


def one(pool: Pool, user: str, name: str) -> DomainShown:
    """One domain, by its name, its key or the beginning of its key."""
    named = named_domain(pool, user, name)
    if named is not None:
        return _of_name(pool, named)
    if name in pool.store:
        return _of_entry(pool, name)
    keys = [key for key in pool.builds if len(name) >= 6 and key.startswith(name)]
    if len(keys) == 1:
        found = pool.builds[keys[0]]
        return _of_build(pool, found, DomainAsked(found.name, found.recipe))
    raise Problem("no_such_domain", f"There is no domain {name[:80]!r} in this pool.",
                  "See them all: pesc_domain list.")


def _of_name(pool: Pool, named: NamedDomain) -> DomainShown:
    found = _of_recipe(pool, key_of_recipe(named.recipe), named.name)
    return msgspec.structs.replace(found, source="user" if named.owner else "pool", owner=named.owner,
                                   description=named.description, dockerfile=named.recipe.dockerfile,
                                   parameters=dict(named.recipe.arguments))


def _of_entry(pool: Pool, name: str) -> DomainShown:
    entry = pool.store[name]
    key = key_asked(resolved_entry(name, entry.dockerfile))
    found = _of_recipe(pool, key, name)
    return msgspec.structs.replace(found, source="store", description=entry.description,
                                   languages=list(entry.languages), parameters=entry.defaults,
                                   dockerfile=entry.dockerfile)


def resolved_entry(name: str, dockerfile: str) -> DomainAsked:
    return DomainAsked(name, Recipe(dockerfile))


def _of_build(pool: Pool, known: ImageBuild, asked: DomainAsked) -> DomainShown:
    found = _of_recipe(pool, known.key, asked.name or known.name)
    return msgspec.structs.replace(found, source="submitted", owner=known.owner, dockerfile=known.recipe.dockerfile,
                                   parameters=dict(known.recipe.arguments))


def _of_recipe(pool: Pool, key: str, name: str) -> DomainShown:
    """What is known of the image of a recipe."""
    known = pool.builds.get(key)
    if known is None:
        return DomainShown(name, key, "known", "")
    live = pool.live.get(key)
    waiting = sum(cluster.state.counts.idle for cluster in users_of(pool, key)) if known.state is not State.READY else 0
    if known.state is State.FAILED:
        waiting = sum(cluster.rest for cluster in users_of(pool, key) if cluster.state.rest_status == JobStatus.HELD)
    return DomainShown(
        name, key, str(known.state), "", known.owner, machine=known.machine, step=live.step if live else 0,
        steps=live.steps if live else 0, instruction=live.instruction if live else "", image=known.image,
        failed_step=known.failed_step, message=known.message, lines=known.lines, since=known.since, jobs=waiting)
