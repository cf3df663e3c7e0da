"""Run the first example from beginning to end in a pool of its own, and leave nothing behind.

`make demo` calls this. The pool lives in a temporary folder (PESC_HOME), so a pool that you
already have is neither used nor disturbed. Exit status 0: all ten ranks came back.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HELLO = pathlib.Path(__file__).resolve().parent.parent / "hello" / "hello.pesc"
COMMANDS = pathlib.Path(sys.executable).parent
RANKS = 10
PATIENCE_SECONDS = 300


class DemoFailed(Exception):
    """What went wrong, in words."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="pesc-demo-") as folder:
        state, results = pathlib.Path(folder, "state"), pathlib.Path(folder, "results")
        shutil.copytree(HELLO.parent, results)
        # Only this pool: nothing of the caller's own PESC settings may lead elsewhere.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PESC_")}
        environment["PESC_HOME"] = str(state)
        try:
            return demonstrate(environment, state, results)
        except DemoFailed as failure:
            earlier = f" (and before that: {failure.__context__})" if failure.__context__ else ""
            print(f"\nThe demo failed: {failure}{earlier}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            return 1


def demonstrate(environment: dict[str, str], state: pathlib.Path, results: pathlib.Path) -> int:
    try:
        step("A private pool: a schedd, and two startds that offer five cpus each")
        command(environment, results, "pesc_pool", "start", "--startds", "2", "--cpus", "5", "--runtime", "auto")
        step(f"The submit file, {HELLO.name}")
        print(HELLO.read_text(), end="")
        step("Ten repetitions run side by side")
        command(environment, results, "pesc_submit", HELLO.name, "--wait")
        show_results(results)
    except DemoFailed:
        show_logs(state)
        raise
    finally:
        step("The pool stops; nothing is left running")
        stop(environment, results)
    print(f"""
Done. A pool of your own, with the commands in {os.path.relpath(COMMANDS)}:
  export PATH="$PWD/{os.path.relpath(COMMANDS)}:$PATH"
  pesc_pool start
  cd examples/hello && pesc_submit hello.pesc --wait
docs/tutorial/first-job.md goes on from here.""")
    return 0


def show_results(results: pathlib.Path) -> None:
    found = sorted(results.glob("**/pesc-*/output.txt"))
    if len(found) != 1:
        raise DemoFailed(f"one joined output.txt was expected, {len(found)} are there")
    [joined] = found
    step(f"The joined output, {joined.parent.name}/output.txt")
    print(joined.read_text(), end="")
    step(f"How each rank ended, and where: {joined.parent.name}/summary.txt")
    print(joined.with_name("summary.txt").read_text(), end="")
    counts = re.findall(r"^rank (\d+): (\d+) of (\d+) inside", joined.read_text(), re.M)
    if [int(rank) for rank, _, _ in counts] != list(range(RANKS)):
        raise DemoFailed(f"not all of the ranks 0 to {RANKS - 1} are in the joined output")
    inside, thrown = (sum(int(count[column]) for count in counts) for column in (1, 2))
    print(f"\nAll together: {inside:,} of {thrown:,} darts inside, so pi is about {4 * inside / thrown:.5f}")


def stop(environment: dict[str, str], results: pathlib.Path) -> None:
    command(environment, results, "pesc_pool", "stop")
    end = time.monotonic() + 5
    while left := processes_of(environment["PESC_HOME"]):
        if time.monotonic() > end:
            raise DemoFailed(f"still running after pesc_pool stop: {', '.join(left)}")
        time.sleep(0.05)


def processes_of(state: str) -> list[str]:
    """Processes that were started with this state folder in their environment or on their command line."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            if state.encode() in words + (entry / "environ").read_bytes():
                found.append(f"{entry.name} ({words.replace(bytes(1), b' ').decode(errors='replace').strip()})")
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return found


def command(environment: dict[str, str], folder: pathlib.Path, name: str, *arguments: str) -> None:
    """Run one command of PESC before the eyes of the user."""
    print(f"$ {name} {' '.join(arguments)}", flush=True)
    try:
        done = subprocess.run([COMMANDS / name, *arguments], env=environment, cwd=folder, timeout=PATIENCE_SECONDS)
    except FileNotFoundError:
        raise DemoFailed(f"{COMMANDS / name} is not there; set up with: make demo") from None
    except subprocess.TimeoutExpired:
        raise DemoFailed(f"{name} took longer than {PATIENCE_SECONDS} seconds") from None
    if done.returncode != 0:
        raise DemoFailed(f"{name} ended with exit status {done.returncode}")


def show_logs(state: pathlib.Path) -> None:
    """The last lines of the daemons' logs: the folder is about to be removed."""
    for log in sorted((state / "log").glob("*.log")):
        print(f"\n--- the end of {log.name}", file=sys.stderr)
        print(*log.read_text(errors="replace").splitlines()[-15:], sep="\n", file=sys.stderr)


def step(title: str) -> None:
    print(f"\n=== {title}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
