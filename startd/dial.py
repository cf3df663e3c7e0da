"""Find the schedd and open the WebSocket to it.

The pool's address is read again every time: a schedd that was started anew may
listen elsewhere, and a token may have been renewed.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from contract.client import Client, find_pool
from contract.problems import Problem
from contract.vocabulary import PROTOCOL
from startd.connection import NoSchedd

PATH = "/v1/startd"
HOW: dict[str, Any] = {
    "compression": None,
    "max_size": 256 * 1024 * 1024,
    "open_timeout": 10.0,
    "close_timeout": 1.0,
}
"""Frames are JSON between machines that are near each other: compressing costs more than it saves."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Which pool is meant: by its URL, else by the state directory."""

    url: str | None
    state: str

    def client(self) -> Client:
        return find_pool(self.url, self.state)

    async def connect(self) -> ClientConnection:
        """A fresh connection to the schedd, or NoSchedd."""
        try:
            client = self.client()
        except Problem as problem:
            raise NoSchedd(str(problem)) from None
        headers = {"Pesc-Protocol": str(PROTOCOL)}
        if client.token:
            headers["Authorization"] = f"Bearer {client.token}"
        parts = urlsplit(client.url)
        address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{PATH}"
        try:
            if client.unix_socket:
                return await unix_connect(client.unix_socket, f"ws://localhost{PATH}", additional_headers=headers,
                                          **HOW)
            return await connect(address, additional_headers=headers, proxy=None, **HOW)
        except InvalidStatus as error:
            body = (error.response.body or b"").decode("utf-8", "replace")[:300]
            raise NoSchedd(f"it answers {error.response.status_code} {error.response.reason_phrase} {body}") from None
        except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            where = client.unix_socket or client.url
            raise NoSchedd(f"nobody answers at {where} ({error})") from None
