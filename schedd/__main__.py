"""`pesc_schedd`: one schedd in the foreground, until SIGTERM.

It makes what is missing in its state directory: the pool's secret, its database, and a
token for the user it runs as.
"""

import argparse
import asyncio
import contextlib
import fcntl
import gc
import getpass
import logging
import os
import secrets
import signal
import socket
import sys
import uuid
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

import dsl.domains
from contract import tokens
from contract.endpoints import Role
from contract.messages import FromSchedd
from contract.places import Places, PoolAddress, read_address, state_folder
from contract.problems import Problem
from contract.requests import Event
from contract.tokens import Claims
from contract.vocabulary import VERSION
from dsl.domains import Entry
from schedd.api.app import build, close, listen
from schedd.api.context import Context
from schedd.blobs import Blobs
from schedd.bus import Bus
from schedd.collector import KEPT_SECONDS, LEAST_KEPT_SECONDS, Collector
from schedd.core.naming import store_of
from schedd.core.pool import Settings
from schedd.delivery import Delivery
from schedd.links import Links
from schedd.logs import Logs
from schedd.loop import Clock, Loop, load_pool
from schedd.shells import Shells
from schedd.store.store import Store

log = logging.getLogger("schedd")

OWN_TOKEN_SECONDS = 10 * 365 * 86_400
LONGEST_SECONDS = 365 * 86_400
PORT = 9618


class Edges:
    """What happens when a group is on disk; filled in once all parts are there."""

    links: Links
    bus: Bus
    logs: Logs
    delivery: Delivery

    def send(self, link: int, messages: list[FromSchedd]) -> None:
        self.links.send(link, messages)

    def publish(self, events: list[Event], clusters: set[int], over: Collection[int]) -> None:
        self.bus.publish(events, clusters, over)
        self.logs.publish(events)

    def deliver(self, jobs: list[tuple[int, int]]) -> None:
        self.delivery.deliver(jobs)

    def cut_all_links(self) -> None:
        self.links.close_all()


def main() -> int:
    """Run until told to stop; the exit status is 0 after SIGTERM, 1 if it could not start."""
    options = _arguments().parse_args()
    logging.basicConfig(level=options.log_level.upper(), stream=sys.stderr, format=LOG_FORMAT)
    places = Places(state_folder(options.state))
    settings = Settings(lease_seconds=options.lease, beat_seconds=options.beat,
                        allowed_images=tuple(options.allow_image or ("*",)), build_network=not options.no_build_network)
    os.umask(0o077)
    try:
        lock = _lock(places)
        asyncio.run(_serve(places, settings, options.host, options.port, options.keep_unused * 3600))
        os.close(lock)
    except Problem as problem:
        print(f"pesc_schedd: {problem}", file=sys.stderr)
        return 1
    return 0


LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pesc_schedd", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Keep the queue of one pool, match its jobs with its machines, serve its API.",
        epilog="example:\n  pesc_schedd --state /srv/pesc --port 9618",
    )
    parser.add_argument("--state", metavar="DIR",
                        help="state directory (default: $PESC_HOME, else below ~/.local/state)")
    parser.add_argument("--host", default="127.0.0.1",
                        help="address to listen on; loopback only (default: %(default)s)")
    parser.add_argument("--port", type=int, default=None, metavar="N",
                        help=f"port (default: the last one, at first {PORT} or any free one)")
    parser.add_argument("--lease", type=_seconds, default=Settings().lease_seconds, metavar="SECONDS",
                        help="silence of a machine after which its jobs are offered elsewhere (default: %(default)s)")
    parser.add_argument("--beat", type=_seconds, default=Settings().beat_seconds, metavar="SECONDS",
                        help="how often machines say that they are alive (default: %(default)s)")
    parser.add_argument("--allow-image", metavar="PATTERN", action="append",
                        help="images of registries that domains may stand on, such as docker.io/library/*; may be "
                        "given several times (default: all)")
    parser.add_argument("--no-build-network", action="store_true", help="let no build reach a network")
    parser.add_argument("--keep-unused", type=_kept, default=KEPT_SECONDS / 3600, metavar="HOURS",
                        help="keep contents that nothing refers to for at least so long; 1 or more "
                        "(default: %(default)g)")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    return parser


def _kept(text: str) -> float:
    hours = float(text)
    if not hours * 3600 >= LEAST_KEPT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is less than an hour: uploads would go before they are submitted")
    return hours


def _seconds(text: str) -> float:
    """For argparse: a time that is over one day."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


async def _serve(places: Places, settings: Settings, host: str, port: int | None, kept_seconds: float) -> None:
    if not host.startswith("127.") and host not in ("localhost", "::1"):
        raise Problem("bad_request", f"This version listens on loopback only, not on {host}.",
                      "Reach it from other machines through a tunnel (ssh -L).")
    places.schedd.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = await Store.open(places.schedd / "pesc.db")
    clock = Clock()
    pool_name = await store.meta("pool", f"{getpass.getuser()}-{uuid.uuid4().hex[:8]}")
    pool = await load_pool(store, pool_name, settings, clock(), _ready_domains())
    secret = _keep_secret(places.schedd / "secret")
    _keep_token(places.token, pool_name, secret, clock())
    # What is alive now lives long: keep the collector from walking through it again and again.
    gc.collect()
    gc.freeze()

    edges = Edges()
    loop = Loop(pool, store, edges, clock)
    blobs = Blobs(places.schedd / "blobs", loop)
    host_name = socket.gethostname()
    edges.links, edges.bus = Links(), Bus()
    edges.logs, edges.delivery = Logs(loop, host_name), Delivery(loop, blobs)
    context = Context(loop, blobs, edges.bus, edges.links, Shells(edges.links), edges.logs, edges.delivery, secret,
                      host_name)
    context.bus.last_event = pool.next_event - 1
    await edges.logs.catch_up()
    sockets = [_unix_socket(places.socket), _tcp_socket(host, port, _last_port(places))]
    servers = await listen(build(context), sockets)
    address = PoolAddress(pool_name, f"http://{host}:{sockets[1].getsockname()[1]}", str(places.socket))
    _write(places.address, msgspec.json.encode(address))
    log.info("schedd listens at %s and %s", address.url, address.socket)

    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)
    collector = Collector(loop, blobs, places.schedd / "pesc.db", kept_seconds)
    tasks = [asyncio.create_task(work) for work in (
        loop.run(), edges.logs.write_all(), edges.delivery.work(), collector.work())]
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stopped}:
        log.critical("a part of the schedd ended; stopping", exc_info=task.exception())
    log.info("stopping")
    await context.shells.close_all()
    await close(servers)
    context.links.close_all()
    loop.stop()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(tasks[0]), 10)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.drop_old_events()
    await store.close()
    with contextlib.suppress(OSError):
        places.socket.unlink()


def _ready_domains() -> dict[str, Entry]:
    """The store that comes with PESC."""
    folder = Path(dsl.domains.__file__).parent / "store"
    return store_of({about.stem: (about.read_text(), about.with_suffix(".Dockerfile").read_text())
                     for about in folder.glob("*.toml")})


def _lock(places: Places) -> int:
    """Only one schedd per state directory."""
    places.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(places.state / "schedd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Problem("wrong_state", f"Another schedd runs already with the state in {places.state}.",
                      "See pesc_pool status; or choose another --state.") from None
    return lock


def _keep_secret(path: Path) -> bytes:
    """The pool's secret, made on the first start."""
    if not path.exists():
        _write(path, secrets.token_hex(32).encode())
    return path.read_bytes()


def _keep_token(path: Path, pool: str, secret: bytes, now: float) -> None:
    """A token for the schedd's own user, unless a good one is there."""
    with contextlib.suppress(OSError, Problem, UnicodeDecodeError):
        tokens.check(path.read_text().strip(), secret, pool, now + 86_400)
        return
    roles = [Role.USER, Role.OPERATOR, Role.ADMIN, Role.STARTD]
    claims = Claims(getpass.getuser(), pool, roles, now + OWN_TOKEN_SECONDS)
    _write(path, tokens.sign(claims, secret).encode() + b"\n")


def _write(path: Path, content: bytes) -> None:
    """Write a file that only this user may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _unix_socket(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.parent.stat().st_uid != os.getuid():
        raise Problem("unavailable", f"{path.parent} belongs to somebody else.", "Choose a shorter --state directory.")
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(1024)
    return sock


def _last_port(places: Places) -> int:
    """The port of the last start, so that addresses people wrote down stay true."""
    with contextlib.suppress(Problem, ValueError):
        return urlsplit(read_address(places).url).port or PORT
    return PORT


def _tcp_socket(host: str, port: int | None, usual: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, usual if port is None else port))
    except OSError as error:
        if port is not None:
            raise Problem("unavailable", f"Port {port} of {host} cannot be had: {error.strerror}.",
                          "Choose another --port.") from None
        sock.bind((host, 0))
    sock.listen(1024)
    return sock


if __name__ == "__main__":
    sys.exit(main())
