"""Committed events, to everybody who listens now."""

import asyncio
from collections import deque
from collections.abc import Collection

from contract.requests import Event

MOST_WAITING = 20_000
"""A listener that falls further behind is sent away; it resumes from the database."""


class Listener:
    """One open stream: the events it has not read yet, and whether its cluster changed."""

    def __init__(self, cluster: int | None, counts_only: bool) -> None:
        self.cluster = cluster
        self.counts_only = counts_only
        self.events: deque[Event] = deque()
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        """Its cluster has left the queue."""
        self.behind = False


class Bus:
    """All listeners, found by the cluster they listen to."""

    def __init__(self) -> None:
        self._listeners: dict[int | None, set[Listener]] = {}
        self.last_event = 0

    def listen(self, cluster: int | None, counts_only: bool) -> Listener:
        listener = Listener(cluster, counts_only)
        self._listeners.setdefault(cluster, set()).add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        group = self._listeners.get(listener.cluster, set())
        group.discard(listener)
        if not group:
            self._listeners.pop(listener.cluster, None)

    def publish(self, events: list[Event], clusters: set[int], over: Collection[int]) -> None:
        """Hand over `events`; tell those who count that `clusters` changed, and which of them are over."""
        if events:
            self.last_event = events[-1].id
        for event in events:
            for cluster in (event.cluster, None):
                for listener in self._listeners.get(cluster, ()):
                    self._hand_over(listener, event)
        for cluster in clusters:
            for listener in self._listeners.get(cluster, ()):
                if listener.counts_only:
                    listener.changed.set()
                    if cluster in over:
                        listener.over.set()

    def stir(self, clusters: set[int]) -> None:
        """Have those who listen to these look again, though nothing happened that is an event."""
        for cluster in clusters:
            for listener in self._listeners.get(cluster, ()):
                listener.changed.set()

    def _hand_over(self, listener: Listener, event: Event) -> None:
        if listener.counts_only:
            return
        if len(listener.events) >= MOST_WAITING:
            listener.behind = True
        else:
            listener.events.append(event)
        listener.changed.set()
