"""pesc_domain: the named environments that jobs run in.

`domain = NAME` in a submit file means one of these: your own, the pool's, or one of the store
that comes with PESC. Images are built once by a machine of the pool and carried to the others.
"""

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cli.common import DONE, FAILED, Parser, complain, connect, run, say, say_json
from contract.client import Client
from contract.problems import Problem
from contract.requests import DomainAdd, DomainAsked, DomainBuild, DomainShown

if TYPE_CHECKING:
    from contract.messages import Recipe

NAME = "pesc_domain"
EXAMPLE = """
pesc_domain list                              what there is, and how far its images are
pesc_domain show scipy                        its Dockerfile and its parameters
pesc_domain add study ./study                 give a name to a folder with a Dockerfile
pesc_domain build scipy base_image=base       build it before jobs need it
pesc_domain log -f study                      what its build prints
pesc_domain export study study.oci.tar        its image as one file; pesc_domain import NAME FILE
"""
VERBS = {
    "list": "all domains", "show": "one, with its Dockerfile", "build": "build it now", "add": "give it a name",
    "rm": "take a name away", "log": "what its build printed", "export": "its image as one file",
    "import": "take an image from a file",
}


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    chosen = _arguments(arguments)
    client = connect(chosen)
    match chosen.what:
        case "list":
            return _list(client, chosen)
        case "show":
            return _show(_one(client, chosen.name[0]), chosen)
        case "build":
            return _build(client, chosen)
        case "add":
            return _add(client, chosen)
        case "rm":
            return _rm(client, chosen)
        case "log":
            return _log(client, chosen.name[0], chosen.follow)
        case "export":
            from cli.ociarchive import export

            return export(client, _one(client, chosen.name[0]), chosen.name[1], chosen.json)
        case _:
            from cli.ociarchive import bring_in

            return bring_in(client, chosen.name[0], chosen.name[1], chosen.everybody, chosen.json)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "The named environments that jobs run in: look, build, add, remove.", EXAMPLE)
    parser.usage = "pesc_domain VERB [NAME] [WHAT ...] [options]"
    parser.add_argument("what", choices=tuple(VERBS), metavar="VERB",
                        help="; ".join(f"{verb}: {text}" for verb, text in VERBS.items()))
    parser.add_argument("name", nargs="*", metavar="NAME",
                        help="a domain; add: and an image, Dockerfile or folder; build: and NAME=VALUE parameters; "
                        "export, import: and a file")
    parser.add_flag("everybody", help="add, rm, import: for all users of the pool (an administrator may)")
    parser.add_flag("packages", metavar="LIST", default="", help="add, build: packages added to it: 'numpy apt:jq'")
    parser.add_flag("description", metavar="TEXT", default="", help="add: a few words about it")
    parser.add_flag("again", help="build: even if it failed before")
    parser.add_flag("wait", help="build, add: show what it prints, until it is ready")
    parser.add_flag("later", help="add: build it when jobs need it")
    parser.add_flag("follow", "f", help="log: go on while it is built")
    parser.add_json()
    parser.add_pool()
    chosen = parser.read(arguments)
    least = {"list": 0, "show": 1, "build": 1, "add": 2, "rm": 1, "log": 1, "export": 2, "import": 2}[chosen.what]
    most = 100 if chosen.what in ("build", "add") else least
    if not least <= len(chosen.name) <= most:
        parser.error(f"{chosen.what} needs {('no name', 'one name', 'a name and what it means')[min(least, 2)]}")
    return chosen


# --- looking --------------------------------------------------------------------------


def _list(client: Client, chosen: argparse.Namespace) -> int:
    domains = client.call("GET", "/v1/domains", list[DomainShown])
    if chosen.json:
        say_json(domains)
    else:
        say(listed(domains))
    return DONE


def listed(domains: Iterable[DomainShown]) -> str:
    """One line a domain."""
    from cli.table import table

    return table(("NAME", "FROM", "STATE", "SIZE", "DESCRIPTION"), [
        (one.name or one.key[:12], one.source, state_of(one), _size(one), one.description or first_line(one.dockerfile))
        for one in domains], right="SIZE")


def state_of(one: DomainShown) -> str:
    """Its state in a few words."""
    match one.state:
        case "known":
            return "not built"
        case "wanted":
            return "waits to be built"
        case "building":
            return f"building on {one.machine}" + (f" ({one.step}/{one.steps})" if one.steps else "")
        case _:
            return one.state


def first_line(dockerfile: str) -> str:
    return next((line.strip()[:60] for line in dockerfile.splitlines() if line.lower().startswith("from ")), "")


def _size(one: DomainShown) -> str:
    return f"{one.image.size / 1e6:,.0f} MB" if one.image is not None else ""


def _one(client: Client, name: str) -> DomainShown:
    return client.call("GET", f"/v1/domains/{name}", DomainShown)


def _show(one: DomainShown, chosen: argparse.Namespace) -> int:
    if chosen.json:
        say_json(one)
        return DONE
    rows = [("from", one.source + (f", of {one.owner}" if one.owner else "")), ("about", one.description),
            ("state", state_of(one)), ("made for", one.processor), ("made by", one.command),
            ("variants", ", ".join(f"{kind} {state}" for kind, state in sorted(one.variants.items()))),
            ("languages", ", ".join(one.languages)),
            ("waiting", f"{one.jobs} jobs" if one.jobs else ""), ("image", one.image.id if one.image else ""),
            ("size", _size(one)), ("key", one.key),
            ("failed at", one.failed_step), ("because", one.message)]
    say("\n".join([one.name or one.key[:12], *(f"  {what:<10} {text}" for what, text in rows if text)]))
    if one.parameters:
        say("  parameters " + "\n             ".join(f"{name}={value}" for name, value in one.parameters.items()))
    for line in one.lines:
        say(f"  | {line}")
    say("\n" + one.dockerfile.rstrip("\n"))
    return DONE


# --- changing -------------------------------------------------------------------------


def _build(client: Client, chosen: argparse.Namespace) -> int:
    from cli.upload import upload

    packed, asked = _asked(" ".join(chosen.name), chosen.packages)
    if asked.recipe is not None:
        upload(client, packed)
    return _told(client, client.call("POST", "/v1/domains/build", DomainShown, DomainBuild(asked, chosen.again)),
                 chosen)


def _add(client: Client, chosen: argparse.Namespace) -> int:
    from cli.upload import upload

    name, what = chosen.name[0], " ".join(chosen.name[1:])
    packed, asked = _asked(what, chosen.packages)
    recipe = asked.recipe or _recipe_of(client, asked)
    upload(client, packed)
    wanted = DomainAdd(name, recipe, None, chosen.description, chosen.everybody, not chosen.later)
    return _told(client, client.call("POST", "/v1/domains", DomainShown, wanted), chosen)


def _recipe_of(client: Client, asked: DomainAsked) -> "Recipe":
    """Another domain under a further name, with what is added to it written out."""
    from contract.messages import Recipe
    from dsl.domains import BadPackage, with_packages

    one = _one(client, asked.name)
    usual = {"r": "r", "julia": "julia", "octave": "octave", "c": "apt", "java": "apt"}.get(
        next(iter(one.languages), ""), "pip")
    try:
        return Recipe(with_packages(one.dockerfile, asked.packages, usual), asked.arguments)
    except BadPackage as bad:
        raise Problem("bad_domain", f"{bad}.", "Write, say: --packages 'numpy>=2 apt:graphviz'") from None


def _asked(what: str, packages: str) -> "tuple[Packed, DomainAsked]":
    """What the words on the command line mean, as in a submit file."""
    from cli.domainfiles import pack_domain
    from cli.localfiles import LocalFiles, submit_site
    from cli.pack import Packed
    from dsl.domains import BadPackage, with_packages
    from dsl.submit.domain import in_order, named
    from dsl.submit.given import Wrong

    here = submit_site().iwd
    try:
        asked, checked = named(LocalFiles(here), here, what)
        asked.packages = packages.replace(",", " ").split()
        if asked.dockerfile:
            asked.dockerfile, asked.packages = with_packages(asked.dockerfile, asked.packages), []
    except (Wrong, BadPackage) as wrong:
        cure = getattr(wrong, "cure", "") or "See: pesc_domain --help."
        raise Problem("bad_domain", f"{str(wrong).rstrip('.')}.", cure) from None
    for warning in checked.warnings:
        print(warning, file=sys.stderr)
    if checked.mistakes:
        raise Problem("bad_domain", "\n".join(["it cannot be built.", *map(str, in_order(checked))]), "")
    packed = Packed()
    for unfit in pack_domain(packed, asked):
        raise Problem("bad_domain", f"{unfit.what}.", unfit.cure)
    assert packed.domain is not None
    return packed, packed.domain


def _told(client: Client, one: DomainShown, chosen: argparse.Namespace) -> int:
    while chosen.wait and one.state in ("wanted", "building"):
        _log(client, one.key, follow=True)
        one = _one(client, chosen.name[0] if one.variants and one.source != "submitted" else one.key)
    if chosen.json:
        say_json(one)
    else:
        say(f"{one.name or one.key[:12]}: {state_of(one)}.")
        if one.state in ("wanted", "building") and not chosen.wait:
            say(f"  Watch it: pesc_domain log -f {one.name or one.key[:12]}")
    if one.state == "failed":
        complain(NAME, f"It could not be built at {one.failed_step or 'its start'}: {one.message}\n"
                 "  Try again with: pesc_domain build --again")
        return FAILED
    return DONE


def _rm(client: Client, chosen: argparse.Namespace) -> int:
    client.call("DELETE", f"/v1/domains/{chosen.name[0]}", dict[str, str], everybody=int(chosen.everybody) or None)
    if chosen.json:
        say_json({"removed": chosen.name[0]})
    else:
        say(f"The domain {chosen.name[0]} is removed; jobs that were submitted with it keep it.")
    return DONE


# --- the log --------------------------------------------------------------------------


def _log(client: Client, name: str, follow: bool) -> int:
    """What the build printed; the stream is taken up again where it broke."""
    silent = True
    for piece in log_of(client, name, follow):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        silent = False
    if silent and not follow:
        complain(NAME, f"The build of {name} has printed nothing{'' if follow else ' so far'}.")
    return DONE


def log_of(client: Client, name: str, follow: bool) -> Iterable[bytes]:
    import time

    import msgspec

    from cli.progress import next_pause
    from cli.tail import Chunk, take

    offset, pause = 0, 0.0
    while True:
        try:
            for event in client.events(f"/v1/domains/{name}/log", offset=str(offset), follow=int(follow)):
                if event.kind != "chunk":
                    continue
                chunk = msgspec.json.decode(event.data, type=Chunk)
                if chunk.offset == 0 and chunk.data:
                    offset = 0  # another machine has begun it anew
                piece, offset, last = take(chunk, offset)
                pause = 0.0
                if piece:
                    yield piece
                if last:
                    return
        except Problem as problem:
            if not follow or problem.code not in ("pool_stopped", "unavailable"):
                raise
        if not follow:
            return
        pause = next_pause(pause)
        time.sleep(pause)


if TYPE_CHECKING:
    from cli.pack import Packed

