"""Where a personal pool keeps its files, and how a command finds its pool.

    STATE/                 $PESC_HOME, else $XDG_STATE_HOME/pesc, else ~/.local/state/pesc
      pool.json            address of the schedd: written when it listens
      token                what this user shows to the schedd, mode 0600
      schedd/              secret, pesc.db, blobs/
      startd-NAME/         the startd's identity, journal, runs, caches
      log/                 schedd.log, startd-NAME.log
      run/                 schedd.sock, *.pid
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from contract.problems import Problem


class PoolAddress(msgspec.Struct, frozen=True):
    """How to reach a schedd: Unix socket for its own user, URL for everybody else."""

    pool: str
    url: str
    socket: str | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """The paths below one state directory."""

    state: Path

    @property
    def address(self) -> Path:
        return self.state / "pool.json"

    @property
    def token(self) -> Path:
        return self.state / "token"

    @property
    def schedd(self) -> Path:
        return self.state / "schedd"

    def startd(self, name: str) -> Path:
        return self.state / f"startd-{name}"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def socket(self) -> Path:
        """Unix socket paths end at 107 bytes: a deep state directory gets one below /tmp."""
        wanted = self.run / "schedd.sock"
        if len(os.fsencode(wanted)) <= 100:
            return wanted
        import hashlib

        digest = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:16]
        return Path(f"/tmp/pesc-{os.getuid()}-{digest}/schedd.sock")


def state_folder(chosen: str | None, environ: dict[str, str] | Any = os.environ) -> Path:
    """The state directory: `chosen`, else PESC_HOME, else the XDG place."""
    if chosen or environ.get("PESC_HOME"):
        return Path(chosen or environ["PESC_HOME"]).expanduser().absolute()
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"]).absolute() / "pesc"
    return Path.home() / ".local" / "state" / "pesc"


def read_address(places: Places) -> PoolAddress:
    """Where the pool of this state directory listens, or the Problem that there is none."""
    try:
        return msgspec.json.decode(places.address.read_bytes(), type=PoolAddress)
    except FileNotFoundError:
        raise Problem("no_pool", f"There is no pool in {places.state}.",
                      "Start one with: pesc_pool start (or name another with --pool URL or PESC_HOME).") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise Problem("no_pool", f"{places.address} cannot be read: {error}.",
                      "Start the pool again: pesc_pool start.") from None
