"""Many startds in one process, each with a connection of its own: STATE COUNT.

Every grant is ended at once, so that the schedd alone is busy. Prints a line when all are
connected, and with every line read from stdin how many ends were acknowledged.
"""

import asyncio
import gc
import json
import resource
import sys
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import InvalidHandshake

from contract.client import find_pool
from contract.messages import (
    Acknowledge,
    Amounts,
    Beat,
    Ended,
    FromStartd,
    Grant,
    Hello,
    OutputFile,
    RunEnd,
    Stop,
    Welcome,
    decode_from_schedd,
    encode,
)
from contract.vocabulary import PROTOCOL, VERSION, EndReason

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
END = RunEnd(EndReason.EXITED, 0, wall_seconds=0.001, user_seconds=0.0005, system_seconds=0.0005, peak_memory_mib=1.5,
             stdout=OutputFile("stdout", EMPTY, 0), stderr=OutputFile("stderr", EMPTY, 0))
AMOUNTS = Amounts(8.0, 64_000, 1_000_000_000)
AD = {
    "Machine": '"simulated"', "Arch": '"X86_64"', "OpSys": '"LINUX"', "Cpus": "8", "TotalCpus": "8", "Memory": "64000",
    "Disk": "1000000000", "LoadAvg": "0.5", "KeyboardIdle": "100000", "START": "true", "HasFileTransfer": "true",
    "PescLanguages": '"python,R"', "FileSystemDomain": '"simulated"',
}


class Fleet:
    """All of them, and what they count together."""

    def __init__(self) -> None:
        self.welcome = 0
        self.acknowledged = 0
        self.frames = 0
        self.dialled_again = 0
        self.all_welcome = asyncio.Event()

    async def stay(self, number: int, count: int, path: str, headers: dict[str, str]) -> None:
        """Dial again when refused, as a startd does."""
        while True:
            with suppress(InvalidHandshake, OSError):
                await self.one(number, count, path, headers)
            self.dialled_again += 1
            await asyncio.sleep(0.2)

    async def one(self, number: int, count: int, path: str, headers: dict[str, str]) -> None:
        async with unix_connect(path, "ws://localhost/v1/startd", additional_headers=headers, compression=None,
                                open_timeout=60) as connection:
            hello = Hello(f"sim{number}", f"id{number}", PROTOCOL, VERSION, AMOUNTS, AD, [])
            await connection.send(encode([hello]), text=True)
            beating: asyncio.Task[None] | None = None
            async for frame in connection:
                self.frames += 1
                said: list[FromStartd] = []
                for message in decode_from_schedd(frame):
                    match message:
                        case Grant(run) | Stop(run):
                            said.append(Ended(run, END))
                        case Acknowledge(runs):
                            self.acknowledged += len(runs)
                        case Welcome(_, beat_seconds):
                            beating = asyncio.create_task(_beat(connection, beat_seconds))
                            self.welcome += 1
                            if self.welcome == count:
                                self.all_welcome.set()
                if said:
                    await connection.send(encode(said), text=True)
            if beating is not None:
                beating.cancel()


async def _beat(connection: ClientConnection, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await connection.send(encode([Beat([])]), text=True)


async def main() -> None:
    state, count = sys.argv[1], int(sys.argv[2])
    client = find_pool(None, state)
    assert client.unix_socket is not None
    headers = {"Authorization": f"Bearer {client.token}", "Pesc-Protocol": str(PROTOCOL)}
    fleet = Fleet()
    tasks: list[asyncio.Task[Any]] = []
    for number in range(count):
        tasks.append(asyncio.create_task(fleet.stay(number, count, client.unix_socket, headers)))
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    await fleet.all_welcome.wait()
    gc.freeze()
    print(json.dumps({"welcome": fleet.welcome, "again": fleet.dialled_again}), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"acknowledged": fleet.acknowledged, "frames": fleet.frames}), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
