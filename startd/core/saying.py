"""What the schedd is told: who is here, what has changed, every end until it is acknowledged.

What must not be missed is not a message that waits but a run that has `changed`: what is news of
it is found when the connection can carry some, so ten changes are told as one. A new connection
knows nothing, and is told all of it.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from contract.messages import (
    AdChanged,
    Beat,
    Checkpointed,
    Ended,
    FromStartd,
    GpuPart,
    HeldRun,
    Hello,
    Progressed,
    Reached,
    RunEnd,
    Welcome,
)
from contract.vocabulary import INLINE_BYTES, PROTOCOL, VERSION, Phase
from dsl.classad import literal
from startd.core.events import Action, MachineSeen, Recall, Recalled
from startd.core.jobrun import JobRun
from startd.core.state import State, say


def greet(state: State) -> None:
    """Somebody listens; who it is, its Welcome says."""
    state.is_connected, state.is_welcome = True, False
    state.to_say = [Hello(state.name, state.identity, PROTOCOL, VERSION, state.amounts, dict(state.owner.ad),
                          _held(state), state.builds.held())]


def on_welcome(state: State, welcome: Welcome, now: float) -> list[Action]:
    """Now it is known who listens: say again every end that was not acknowledged."""
    state.is_welcome = True
    state.builds.welcomed()
    state.beat_seconds = max(0.05, welcome.beat_seconds)
    state.beat_at = now + state.beat_seconds
    actions: list[Action] = []
    for run in state.runs.values():
        run.told = None
        run.tells_checkpoint = run.checkpoint is not None or bool(run.trouble)
        state.changed[run.run] = None
        if run.phase is Phase.ENDED:
            actions += say_end_again(state, run)
        elif run.reached is not None:
            say(state, Reached(run.run, *run.reached))
    return actions


def fall_silent(state: State) -> None:
    """The connection is gone."""
    state.is_connected = state.is_welcome = False
    state.to_say.clear()


def has_news(state: State) -> bool:
    return state.is_connected and bool(
        state.to_say or (state.is_welcome and (state.changed or state.builds.has_news)))


def take_news(state: State, now: float) -> list[FromStartd]:
    """What is to be said now; what is taken here counts as sent."""
    if not state.is_connected:
        return []
    said, state.to_say = state.to_say, []
    if state.is_welcome and state.changed:
        for run_id in state.changed:
            run = state.runs.get(run_id)
            if run is not None and (message := _news_of(state, run, now)) is not None:
                said.append(message)
            if run is not None and run.end is None and run.tells_checkpoint:
                said.append(_news_of_checkpoint(state, run, now))
        state.changed.clear()
    if state.is_welcome:
        said += state.builds.outgoing()
    return said


def _news_of(state: State, run: JobRun, now: float) -> FromStartd | None:
    if run.end is not None:
        if run.blobs is None and _has_small_contents(run.end):
            return None  # recalled first
        blobs, run.blobs = run.blobs or {}, None
        run.sent_at = now
        return Ended(run.run, run.end, blobs)
    if (run.phase, run.halts) == run.told or run.phase is Phase.GRANTED:
        return None
    run.told = run.phase, run.halts
    return Progressed(run.run, run.phase, run.halts, state.ladder.why if run.phase is Phase.SUSPENDED else "")


def _news_of_checkpoint(state: State, run: JobRun, now: float) -> Checkpointed:
    run.tells_checkpoint = False
    state.checkpoint_number += 1
    return Checkpointed(run.run, state.checkpoint_number, run.checkpoint,
                        round(max(0.0, now - run.changed_at), 3), run.trouble)


def say_end_again(state: State, run: JobRun) -> list[Action]:
    """Make ready to say the end again: its small contents were let go, and are recalled."""
    state.changed[run.run] = None
    if run.end is None or run.blobs is not None or not _has_small_contents(run.end):
        return []
    return [Recall(run.grant, run.end)]


def on_recalled(state: State, recalled: Recalled) -> None:
    run = state.runs.get(recalled.run)
    if run is not None and run.phase is Phase.ENDED:
        run.blobs = recalled.blobs
        state.changed[recalled.run] = None


def _has_small_contents(end: RunEnd) -> bool:
    files = [file for file in (end.stdout, end.stderr, *end.files) if file is not None]
    return any(0 < file.size <= INLINE_BYTES for file in files)


def beat_if_due(state: State, now: float) -> list[Action]:
    """Say that all is well, what is here, and again what nobody has acknowledged."""
    if not state.is_welcome or state.beat_at > now:
        return []
    state.beat_at = now + state.beat_seconds
    say(state, Beat(_held(state), state.builds.held()))
    state.builds.say_again()
    actions: list[Action] = []
    for run in state.runs.values():
        if run.end is not None and (run.sent_at is None or now - run.sent_at >= state.beat_seconds / 2):
            actions += say_end_again(state, run)
    return actions


def _held(state: State) -> list[HeldRun]:
    return [HeldRun(run.run, run.phase, run.halts) for run in state.runs.values()]


def on_machine_seen(state: State, seen: MachineSeen, now: float) -> None:
    state.owner.clock_ahead = seen.clock - now
    state.seen_ad = dict(seen.ad)
    say_ad(state, seen.gpus)


def say_ad(state: State, gpus: tuple[GpuPart, ...] | None = None) -> None:
    """Say what has changed of what was seen of the machine, of its owner, and of its GPUs."""
    old, ad = state.owner.ad, {**state.seen_ad, **ladder_ad(state)}
    changes: dict[str, str | None] = {name: text for name, text in ad.items() if old.get(name) != text}
    changes.update((name, None) for name in old if name not in ad)
    if gpus == state.amounts.gpus:
        gpus = None
    if gpus is not None:
        state.amounts = replace(state.amounts, gpus=gpus)
        state.claims.offer_gpus(gpus)
        state.made_room = True
    if changes or gpus is not None:
        state.owner.see(ad)
        say(state, AdChanged(changes, gpus))


def ladder_ad(state: State) -> Mapping[str, str]:
    """What the ad says of the machine's owner."""
    ladder = state.ladder
    if not ladder.policy.heeds_anything:
        return {}
    return {"OwnerPresent": "true" if ladder.present else "false",
            "PescOwnerStep": f'"{ladder.step.name.lower()}"', "PescOwnerWhy": str(literal(ladder.why))}
