"""pesc_fetch: bring home what the jobs of a cluster left behind.

    pesc-12/
      rank-0/ …            the files of each job, and its stdout and stderr
      output.txt           the ranks' output.txt, one after the other
      stdout.txt           the ranks' stdout, likewise
      …                    what the submit file's `join` names, likewise; of CSV files the first line once
      rows.csv             of a sweep: each rank's row, how it ended, what it used, its output
      summary.json|.txt    how each rank ended, and where

What is here already, whole, is not sent again: an interrupted fetch is simply given again.
"""

import hashlib
import io
import itertools
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import msgspec

from cli.adtext import plain
from cli.common import DONE, FAILED, Parser, complain, connect, count_of, run, say, say_json
from cli.folder import Folder, Parts, UnsafePath, safe_parts
from contract.client import Client
from contract.messages import OutputFile
from contract.problems import Problem
from contract.requests import Batch, ClusterOutputs
from contract.vocabulary import INLINE_BYTES, JobStatus

NAME = "pesc_fetch"
EXAMPLE = """
pesc_fetch 12
cat pesc-12/output.txt
"""
PACK_FILES = 500
PACK_BYTES = 8 * 1024**2
TOLD_FAILURES = 20
STREAMS = ("stdout", "stderr")
ROWS = "rows.csv"
OURS = frozenset({"output.txt", "stdout.txt", ROWS, "summary.json", "summary.txt"})
TABLES = (".csv", ".tsv")
LONGEST_HEADER_BYTES = 1 << 16
_NUMBER = re.compile(rb"(?:\A|[,;\t])\s*\"?[-+]?\.?[0-9][0-9.eE+-]*\"?\s*(?=[,;\t\r\n])")
"""A cell that is a number: where there is one, a line that all have is a result that all have."""
BEFORE_ROW, AFTER_ROW = ("rank", "repetition"), (
    "status", "exit_code", "signal", "wall_seconds", "cpu_seconds", "memory_mib", "machine", "output")
"""Columns of ROWS, before those of the row and after them."""
SHORT_OUTPUT_BYTES = 1000
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(slots=True)
class FetchSummary:
    """What a fetch brought, and what it did not."""

    cluster: int
    folder: str
    ranks: int = 0
    """Ranks of which something is here now."""
    total: int = 0
    """Ranks that the cluster has."""
    files: int = 0
    """Files fetched now."""
    bytes: int = 0
    kept: int = 0
    """Files that were here already."""
    joined: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Files that could not be brought, and why."""
    warnings: list[str] = field(default_factory=list)

    @property
    def missing_ranks(self) -> int:
        return max(0, self.total - self.ranks)


class _Wanted(NamedTuple):
    """One file to bring: where it goes, and what it must be."""

    parts: Parts
    file: OutputFile


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    parser = Parser(NAME, "Bring home what the jobs of a cluster left behind; again, to go on where it stopped.",
                    EXAMPLE)
    parser.add_argument("cluster", metavar="CLUSTER", help="the number that pesc_submit gave")
    parser.add_flag("output", "o", metavar="DIR", help="the folder to write (else pesc-CLUSTER)")
    parser.add_pool()
    parser.add_json()
    chosen = parser.read(arguments)
    if not re.fullmatch(r"\d{1,12}", chosen.cluster):
        parser.error(f"{chosen.cluster[:80]!r} is not a cluster; a cluster is a number, such as 12")
    summary = fetch_cluster(connect(chosen), int(chosen.cluster), chosen.output or f"pesc-{int(chosen.cluster)}")
    if chosen.json:
        say_json({**{name: getattr(summary, name) for name in FetchSummary.__slots__},
                  "missing_ranks": summary.missing_ranks})
    else:
        say(told(summary))
    for warning in summary.warnings[:TOLD_FAILURES]:
        complain(NAME, warning)
    for failure in summary.failures[:TOLD_FAILURES]:
        complain(NAME, failure)
    if len(summary.failures) > TOLD_FAILURES:
        complain(NAME, f"… and {count_of(len(summary.failures) - TOLD_FAILURES, 'more such file', 'more such files')}.")
    return FAILED if summary.failures else DONE


def fetch_cluster(client: Client, cluster: int, folder: str) -> FetchSummary:
    """Bring what is there of `cluster` into `folder`; raise Problem when the pool or the disk fails."""
    batch = client.call("GET", f"/v1/clusters/{cluster}", Batch)
    summary = FetchSummary(cluster, folder, total=batch.total)
    with tempfile.TemporaryFile() as manifest, Folder(folder) as target:
        # The list is stored first: the schedd need not wait for our disk, and a million ranks fit in no memory.
        for manifest_line in client.lines(f"/v1/clusters/{cluster}/outputs"):
            manifest.write(manifest_line.rstrip(b"\n") + b"\n")
        bringer = _Bringer(client, target, summary)
        places: list[tuple[int, int]] = []
        for place, outputs in _read(manifest):
            summary.ranks += 1
            places.append((outputs.proc, place))
            for wanted in _files_of(outputs, summary):
                bringer.bring(wanted)
        bringer.flush()
        ranks = _Ranks(manifest, places)
        _join(target, summary, ranks, "output.txt", "output.txt")
        _join(target, summary, ranks, "stdout", "stdout.txt")
        for name in _wanted_joins(ranks, summary):
            _join(target, summary, ranks, name, name)
        _write_rows(target, summary, ranks)
        _write_summary(target, ranks)
    return summary


def told(summary: FetchSummary) -> str:
    """What a fetch did, in words."""
    place = summary.folder.rstrip("/")
    if summary.ranks == 0:
        return (f"Cluster {summary.cluster}: nothing is there yet of its {count_of(summary.total, 'rank')}.\n"
                f"  Wait with: pesc_wait {summary.cluster}; then fetch again.")
    kept = f", {count_of(summary.kept, 'file')} were here already" if summary.kept else ""
    lines = [f"{place}/: {summary.ranks:,} of {count_of(summary.total, 'rank')}; "
             f"{count_of(summary.files, 'file')} fetched ({_size(summary.bytes)}){kept}."]
    if summary.joined:
        lines.append("Joined by rank: " + ", ".join(f"{place}/{name}" for name in summary.joined))
    if summary.missing_ranks:
        lines.append(f"{count_of(summary.missing_ranks, 'rank')} have left nothing yet; "
                     f"see pesc_q {summary.cluster}, and fetch again later.")
    return "\n".join(lines)


# --- which files ------------------------------------------------------------------------


def _files_of(outputs: ClusterOutputs, summary: FetchSummary) -> Iterator[_Wanted]:
    """The files of one rank that may be written; the others are told as failures."""
    place = f"rank-{outputs.proc}"
    summary.warnings += [f"{place}: {plain(warning)}" for warning in outputs.warnings]
    for stream, file in zip(STREAMS, (outputs.stdout, outputs.stderr), strict=True):
        if file is not None:
            yield _Wanted((place, stream), file)
    for file in outputs.files:
        try:
            parts = safe_parts(file.path)
        except UnsafePath as error:
            summary.failures.append(f"{place}: the file {plain(file.path, 80)!r} is not written: {error}.")
            continue
        if parts[0] in STREAMS:
            # The job wrote a file of the same name: both are kept.
            parts = (parts[0] + ".file", *parts[1:])
        yield _Wanted((place, *parts), file)


_OUTPUTS = msgspec.json.Decoder(ClusterOutputs)
_ROW = msgspec.json.Decoder(dict[str, Any], float_hook=str)
"""Keeps decimals as they are written."""


def _read(manifest: IO[bytes]) -> Iterator[tuple[int, ClusterOutputs]]:
    """The list of outputs: where each line begins, and what it says."""
    manifest.seek(0)
    place = 0
    for number, manifest_line in enumerate(manifest, 1):
        try:
            yield place, _OUTPUTS.decode(manifest_line)
        except msgspec.MsgspecError as error:
            raise _not_understood(f"Line {number} of the list of outputs", error) from None
        place += len(manifest_line)


def _not_understood(what: str, error: msgspec.MsgspecError) -> Problem:
    return Problem("broken_answer", f"{what} was not understood: {error}.",
                   "Are command and schedd of the same version?")


# --- bringing them ----------------------------------------------------------------------


class _Bringer:
    """Brings files: small ones many at a time, large ones by themselves, equal ones once."""

    def __init__(self, client: Client, target: Folder, summary: FetchSummary) -> None:
        self._client = client
        self._target = target
        self._summary = summary
        self._waiting: dict[str, list[_Wanted]] = {}
        self._waiting_bytes = 0
        self._large: dict[str, Parts] = {}

    def bring(self, wanted: _Wanted) -> None:
        file = wanted.file
        if self._target.sha256_of(wanted.parts, file.size) == file.sha256:
            self._summary.kept += 1
            if file.size > INLINE_BYTES:
                self._large[file.sha256] = wanted.parts
        elif file.sha256 == EMPTY_SHA256:
            self._write(wanted, b"")
        elif file.size > INLINE_BYTES:
            self._bring_large(wanted)
        else:
            if file.sha256 not in self._waiting:
                self._waiting_bytes += file.size
            self._waiting.setdefault(file.sha256, []).append(wanted)
            if len(self._waiting) >= PACK_FILES or self._waiting_bytes >= PACK_BYTES:
                self.flush()

    def flush(self) -> None:
        """Bring the small files that wait for company."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        if not waiting:
            return
        _, content = self._client.exchange("POST", "/v1/blobs/fetch", msgspec.json.encode(list(waiting)))
        try:
            pack = msgspec.msgpack.decode(content, type=dict[str, bytes])
        except msgspec.MsgspecError as error:
            raise _not_understood("A pack of contents", error) from None
        for sha256, all_wanted in waiting.items():
            small = pack.get(sha256)
            if small is not None and hashlib.sha256(small).hexdigest() != sha256:
                small = None
            for wanted in all_wanted:
                if small is None:
                    self._bring_large(wanted)
                else:
                    self._write(wanted, small)

    def _write(self, wanted: _Wanted, content: bytes) -> None:
        try:
            with self._target.replacing(wanted.parts, wanted.file.executable) as file:
                file.write(content)
        except OSError as error:
            self._failed(wanted, error)
            return
        self._arrived(wanted)

    def _bring_large(self, wanted: _Wanted) -> None:
        sha256 = wanted.file.sha256
        try:
            if sha256 in self._large and self._copy(wanted, self._large[sha256]):
                return
            with self._target.replacing(wanted.parts, wanted.file.executable, keep_as=sha256[:32]) as file:
                self._download(wanted.file, file)
        except OSError as error:
            self._failed(wanted, error)
        except Problem as problem:
            if problem.code not in ("no_such_blob", "bad_blob"):
                raise
            self._summary.failures.append(f"{'/'.join(wanted.parts)}: {problem.message}")
        else:
            self._large[sha256] = wanted.parts
            self._arrived(wanted)

    def _download(self, wanted: OutputFile, file: IO[bytes]) -> None:
        """Bring what is still missing of a content; check the whole."""
        if file.tell() > wanted.size:
            file.seek(0)
            file.truncate()
        if file.tell() < wanted.size:
            for piece in self._client.download(f"/v1/blobs/{wanted.sha256}", file.tell()):
                if file.tell() + len(piece) > wanted.size:
                    break
                file.write(piece)
        file.flush()
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != wanted.sha256:  # type: ignore[arg-type]
            file.seek(0)
            file.truncate()
            raise Problem("bad_blob", "what arrived is not what was sent (its SHA-256 differs); fetch again.")

    def _copy(self, wanted: _Wanted, here: Parts) -> bool:
        """Copy what arrived before under another name; False if that is no longer what it was."""
        if self._target.sha256_of(here, wanted.file.size) != wanted.file.sha256:
            return False
        with (self._target.open(here) as source,
              self._target.replacing(wanted.parts, wanted.file.executable) as file):
            shutil.copyfileobj(source, file, 1 << 20)
        self._summary.kept += 1
        return True

    def _arrived(self, wanted: _Wanted) -> None:
        self._summary.files += 1
        self._summary.bytes += wanted.file.size

    def _failed(self, wanted: _Wanted, error: OSError) -> None:
        import errno

        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise Problem("disk_full", f"{self._target.path} cannot be written: {error.strerror}.",
                          "Make room, then fetch again: it goes on where it stopped.") from None
        self._summary.failures.append(f"{plain('/'.join(wanted.parts))}: not written: {error.strerror}.")


# --- what is made of them ---------------------------------------------------------------


class _Rank(NamedTuple):
    """How a rank ended, without its list of files."""

    rank: int
    repetition: int
    row: dict[str, Any]
    row_json: str
    status: int
    exit_code: int | None
    signal: int | None
    machine: str
    warnings: list[str]
    wall_seconds: float
    cpu_seconds: float
    memory_mib: float
    joins: list[str]
    """What the submit file wants joined, beside output.txt and stdout."""
    left: frozenset[str]
    """Which of the files that are joined it has."""

    @classmethod
    def of(cls, outputs: ClusterOutputs) -> "_Rank":
        left = {file.path for file in outputs.files if file.path == "output.txt" or file.path in outputs.joins}
        if outputs.stdout is not None and outputs.stdout.size:
            left.add("stdout")
        try:
            row = _ROW.decode(outputs.row) if outputs.row else {}
        except msgspec.MsgspecError as error:
            raise _not_understood(f"The row of rank {outputs.proc}", error) from None
        return cls(outputs.proc, outputs.repetition, row, outputs.row, outputs.status, outputs.exit_code,
                   outputs.signal, outputs.machine, outputs.warnings, outputs.wall_seconds, outputs.cpu_seconds,
                   outputs.memory_mib, outputs.joins, frozenset(left))

    @property
    def as_json(self) -> dict[str, Any]:
        row = {"row": msgspec.Raw(self.row_json.encode()), "repetition": self.repetition} if self.row else {}
        return {"rank": self.rank, **row, "status": status_word(self.status), "exit_code": self.exit_code,
                "signal": self.signal, "machine": self.machine, "wall_seconds": self.wall_seconds,
                "cpu_seconds": self.cpu_seconds, "memory_mib": self.memory_mib, "warnings": self.warnings}


class _Ranks:
    """All ranks in their order; each is read again when its turn comes, for a million fit in no memory."""

    def __init__(self, manifest: IO[bytes], places: list[tuple[int, int]]) -> None:
        self._manifest = manifest
        self._places = sorted(places)

    def __iter__(self) -> Iterator[_Rank]:
        for _, place in self._places:
            self._manifest.seek(place)
            yield _Rank.of(_OUTPUTS.decode(self._manifest.readline()))


def status_word(status: int) -> str:
    """`completed`, `held` …"""
    try:
        return JobStatus(status).name.lower().replace("_", " ")
    except ValueError:
        return str(status)


def how_it_ended(exit_code: int | None, signal: int | None) -> str:
    """`exit code 0`, `signal 9`, or `-` when neither is known."""
    if signal is not None:
        return f"signal {signal}"
    return "-" if exit_code is None else f"exit code {exit_code}"


def _wanted_joins(ranks: Iterable[_Rank], summary: FetchSummary) -> list[str]:
    """The files to be joined, each once; what may not be written is told as a failure."""
    names = dict.fromkeys(name for rank in ranks for name in rank.joins)
    wanted = []
    for name in names:
        try:
            parts = safe_parts(name)
        except UnsafePath as error:
            summary.failures.append(f"{plain(name, 80)!r} is not joined: {error}.")
            continue
        if parts[0] in OURS or parts[0].startswith("rank-"):
            summary.failures.append(f"{plain(name, 80)!r} is not joined: there is a file of that name already.")
        else:
            wanted.append(name)
    return wanted


def _join(target: Folder, summary: FetchSummary, ranks: Iterable[_Rank], name: str, joined: str) -> None:
    """Write the ranks' `name` one after the other, each from the start of a line."""
    having = [rank.rank for rank in ranks if name in rank.left]
    place = tuple(joined.split("/"))
    if not having:
        target.remove(place)
        return
    header = _common_header(target, having, name) if name.lower().endswith(TABLES) else b""
    with target.replacing(place) as file:
        file.write(header)
        for rank in having:
            try:
                with target.open((f"rank-{rank}", *name.split("/"))) as part:
                    part.seek(len(header))
                    _append(file, part)
            except OSError as error:
                summary.failures.append(f"{joined}: rank {rank} is missing in it: {error.strerror}.")
    summary.joined.append(joined)


def _common_header(target: Folder, having: Iterable[int], name: str) -> bytes:
    """The first line of a table, if all ranks have the same and it is names, not numbers; b"" else."""
    headers = set()
    for rank in having:
        try:
            with target.open((f"rank-{rank}", *name.split("/"))) as part:
                headers.add(part.readline(LONGEST_HEADER_BYTES))
        except OSError:
            continue    # told when it is joined
        if len(headers) > 1:
            return b""
    header = next(iter(headers), b"")
    return header if header.endswith(b"\n") and not _NUMBER.search(header) else b""


def _append(file: IO[bytes], part: IO[bytes]) -> None:
    last = b"\n"
    while piece := part.read(1 << 20):
        file.write(piece)
        last = piece
    if not last.endswith(b"\n"):
        file.write(b"\n")


def _write_rows(target: Folder, summary: FetchSummary, ranks: Iterable[_Rank]) -> None:
    """Write the table of a sweep: a line for each rank, its row beside how it ended and what came out."""
    having = (rank for rank in ranks if rank.row)
    first = next(having, None)
    if first is None:
        target.remove((ROWS,))
        return
    import csv  # most clusters are no sweeps

    names = list(first.row)
    with target.replacing((ROWS,)) as file:
        text = io.TextIOWrapper(file, "utf-8", "replace", newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*BEFORE_ROW, *map(_column, names), *AFTER_ROW])
        for rank in itertools.chain([first], having):
            table.writerow([
                rank.rank, rank.repetition, *(_cell(rank.row.get(name)) for name in names), status_word(rank.status),
                rank.exit_code, rank.signal, rank.wall_seconds, rank.cpu_seconds, rank.memory_mib, rank.machine,
                _short_output(target, rank)])
        text.flush()
        text.detach()
    summary.joined.append(ROWS)


def _column(name: str) -> str:
    """The name of a column of the row; one that is called like one of ours is told apart."""
    return f"row.{name}" if name in BEFORE_ROW + AFTER_ROW else name


def _cell(value: Any) -> Any:
    return ("false", "true")[value] if isinstance(value, bool) else value


def _short_output(target: Folder, rank: _Rank) -> str:
    """The rank's output.txt if it is one short line."""
    if "output.txt" not in rank.left:
        return ""
    try:
        with target.open((f"rank-{rank.rank}", "output.txt")) as file:
            begins = file.read(SHORT_OUTPUT_BYTES + 1)
    except OSError:
        return ""    # it was told as a failure when the outputs were joined
    line = begins.decode("utf-8", "replace").strip()
    return line if len(begins) <= SHORT_OUTPUT_BYTES and len(line.splitlines()) == 1 else ""


def _write_summary(target: Folder, ranks: Iterable[_Rank]) -> None:
    with target.replacing(("summary.json",)) as file:
        file.write(b"[")
        for index, rank in enumerate(ranks):
            file.write((b",\n " if index else b"\n ") + msgspec.json.encode(rank.as_json))
        file.write(b"\n]\n")
    with target.replacing(("summary.txt",)) as file:
        for text in summary_lines(ranks):
            file.write(text.encode("utf-8", "surrogateescape") + b"\n")


def summary_lines(ranks: Iterable[_Rank]) -> Iterator[str]:
    """One line a rank: how it ended, and where."""
    yield f"{'RANK':>6}  {'STATUS':<10}  {'ENDED':<14}  MACHINE"
    for rank in ranks:
        ended = how_it_ended(rank.exit_code, rank.signal)
        note = "".join(f"  ! {plain(warning)}" for warning in rank.warnings)
        yield f"{rank.rank:>6}  {status_word(rank.status):<10}  {ended:<14}  {plain(rank.machine)}{note}"


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
