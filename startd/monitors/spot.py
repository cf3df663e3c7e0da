"""Spot machines: what the provider's metadata service says about how long this one will be here.

One small poller for each provider behind one interface: `notice` asks once, and returns the
notice if there is one. `watch` asks again and again. Off unless the operator names a
provider. Nobody answering is no notice: a metadata service that is away takes nothing away.
"""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

log = logging.getLogger(__name__)

AWS_SERVICE = AZURE_SERVICE = "http://169.254.169.254"
GCP_SERVICE = "http://metadata.google.internal"
AWS_SECONDS, GCP_SECONDS, AZURE_SECONDS = 120.0, 30.0, 30.0
"""What each promises at least, where it names no time."""

POLL_SECONDS = 5.0
ANSWER_SECONDS = 2.0
MOST_BYTES = 256 * 1024
TOKEN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Notice:
    """The machine will be taken away: who says so, and in how many seconds."""

    why: str
    seconds: float


class Poller(Protocol):
    """One provider's metadata service."""

    def notice(self, now: float) -> Notice | None:
        """Ask once, at `now` (seconds since the epoch); raise OSError or ValueError if there is no proper answer."""


class Aws:
    """EC2: `spot/instance-action` is there once an interruption is set, two minutes ahead. See IMDSv2 for the token."""

    def __init__(self, service: str = AWS_SERVICE) -> None:
        self._service = service

    def notice(self, now: float) -> Notice | None:
        token = _ask(f"{self._service}/latest/api/token", "PUT",
                     {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)})
        if token is None:
            raise OSError("this is no machine of AWS")
        said = _ask(f"{self._service}/latest/meta-data/spot/instance-action",
                    headers={"X-aws-ec2-metadata-token": token})
        if said is None:
            return None
        action = _object(said)
        return Notice(f"AWS will {_word(action, 'action', 'terminate')} this spot machine",
                      _until(_word(action, "time", ""), now, AWS_SECONDS))


class Gcp:
    """Compute Engine: `preempted` turns TRUE some thirty seconds ahead."""

    def __init__(self, service: str = GCP_SERVICE) -> None:
        self._service = service

    def notice(self, now: float) -> Notice | None:
        said = _ask(f"{self._service}/computeMetadata/v1/instance/preempted", headers={"Metadata-Flavor": "Google"})
        if said is None:
            raise OSError("this is no machine of GCP")
        if said.strip().upper() != "TRUE":
            return None
        return Notice("GCP preempts this machine", GCP_SECONDS)


class Azure:
    """Scheduled events: a `Preempt` names the machines it means, and not before when."""

    def __init__(self, service: str = AZURE_SERVICE) -> None:
        self._service = service

    def notice(self, now: float) -> Notice | None:
        headers = {"Metadata": "true"}
        said = _ask(f"{self._service}/metadata/scheduledevents?api-version=2020-07-01", headers=headers)
        if said is None:
            raise OSError("this is no machine of Azure")
        events = _object(said).get("Events")
        preempts = [event for event in events if isinstance(event, dict) and event.get("EventType") == "Preempt"] \
            if isinstance(events, list) else []
        if not preempts:
            return None
        me = _ask(f"{self._service}/metadata/instance/compute/name?api-version=2021-02-01&format=text", headers=headers)
        for event in preempts:
            meant = event.get("Resources")
            if me is None or not isinstance(meant, list) or not meant or me.strip() in meant:
                return Notice("Azure preempts this machine", _until(_word(event, "NotBefore", ""), now, AZURE_SECONDS))
        return None


class Auto:
    """Whichever of the three answers."""

    def __init__(self, *pollers: Poller) -> None:
        self._pollers = pollers or (Aws(), Gcp(), Azure())

    def notice(self, now: float) -> Notice | None:
        trouble: Exception | None = None
        for poller in self._pollers:
            try:
                if (notice := poller.notice(now)) is not None:
                    return notice
            except (OSError, ValueError) as error:
                trouble = error
            else:
                self._pollers = (poller,)     # this is the provider
                return None
        assert trouble is not None
        raise trouble


PROVIDERS: dict[str, Callable[..., Poller]] = {"aws": Aws, "gcp": Gcp, "azure": Azure}


def poller_of(text: str) -> Poller:
    """The poller that `--spot` names: a provider, `auto`, or `PROVIDER=URL` for a service that is elsewhere."""
    provider, _, service = text.partition("=")
    if text == "auto":
        return Auto()
    if provider not in PROVIDERS:
        raise ValueError(f"{text!r} is none of auto, {', '.join(PROVIDERS)}")
    return PROVIDERS[provider](service.rstrip("/")) if service else PROVIDERS[provider]()


async def watch(poller: Poller, clock: Callable[[], float], poll_seconds: float = POLL_SECONDS) -> Notice:
    """Return once this machine is about to be taken away."""
    said = ""
    while True:
        try:
            notice = await asyncio.to_thread(poller.notice, clock())
        except (OSError, ValueError) as error:
            if str(error) != said:
                said = str(error)
                log.warning("the provider's metadata service does not answer: %s", error)
        else:
            said = ""
            if notice is not None:
                return notice
        await asyncio.sleep(poll_seconds)


# The service is on the machine's own link: it is never asked through a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(url: str, method: str = "GET", headers: dict[str, str] | None = None) -> str | None:
    """What is said there; None when nothing is (404)."""
    request = urllib.request.Request(url, method=method, headers=headers or {})
    try:
        with _opener.open(request, timeout=ANSWER_SECONDS) as answer:
            raw: bytes = answer.read(MOST_BYTES)
            return raw.decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise


def _object(text: str) -> dict[str, object]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("an object was expected")
    return found


def _word(found: dict[str, object], name: str, default: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else default


def _until(text: str, now: float, at_least: float) -> float:
    """Seconds from `now` to an instant as AWS (ISO) or Azure (HTTP) writes it; `at_least` where there is none."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return at_least
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, at.timestamp() - now)
