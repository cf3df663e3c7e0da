"""pesc_submit: queue the jobs that a submit file asks for.

The story: read the file and say all its mistakes; digest what travels; send what the
schedd lacks; post one cluster, whether it has one job or a million. With --wait also
follow it and bring home what it leaves behind.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from cli.common import DONE, FAILED, INTERRUPTED, Parser, complain, connect, count_of, positive_int, run, say, say_json
from contract.problems import Problem
from dsl.submit import Description, Mistake, SubmitErrors

if TYPE_CHECKING:
    from cli.headers import Changed
    from cli.pack import Packed
    from contract.client import Client
    from contract.requests import Submitted

NAME = "pesc_submit"
EXAMPLE = """
pesc_submit sweep.pesc                 queue it
pesc_submit sweep.pesc --wait          … watch it, and fetch what it leaves behind
pesc_submit sweep.pesc alpha=0.2       … with the macro alpha set
pesc_submit sweep.pesc --dry-run       only show what would be queued
pesc_submit --header python            the lines that give a program its rank, output_dir …
"""
MAX_FILE_BYTES = 64 * 1024**2
TOLD_MISTAKES = 50
JSON_FLAGS = frozenset({"--json", "-json"})
HELP_FLAGS = ("--help-commands", "-help-commands")
RESTART_SECONDS = 10.0
KEPT_SOURCE_CHARACTERS = 1 << 20


def main() -> int:
    return run(NAME, command)


def command(arguments: list[str]) -> int:
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith(HELP_FLAGS) else [word])]
    for flag in HELP_FLAGS:
        if flag in words:
            from cli.helpcommands import show_commands

            words = [word for word in words if word not in (flag, *JSON_FLAGS)]
            return show_commands(NAME, words[0] if words else "", as_json=not JSON_FLAGS.isdisjoint(arguments))
    if (language := _header_asked(arguments)) is not None:
        from cli.headers import print_header

        return print_header(NAME, language)
    chosen = _arguments(arguments)
    text = ""
    try:
        text, description = _read(chosen)
        if chosen.dry_run:
            from cli.dryrun import show

            return show(description, chosen.json, chosen.limit)
        if description.refusals:
            return _refuse(description.refusals, chosen)
        for warning in description.warnings:
            print(warning, file=sys.stderr)
        return _submit(chosen, text, description)
    except SubmitErrors as errors:
        return _refuse(errors.mistakes, chosen)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(NAME, "Queue the jobs that a submit file asks for.", EXAMPLE)
    parser.add_argument("file", metavar="FILE", help="the submit file; - for standard input")
    parser.add_argument("variables", metavar="NAME=VALUE", nargs="*", help="macros set before the file is read")
    parser.add_flag("append", "a", metavar="LINE", action="append", default=[], dest="append",
                    help="a line to add before queue")
    parser.add_flag("dry-run", help="show what would be queued, and ask no pool")
    parser.add_flag("limit", metavar="N", type=positive_int, default=None,
                    help="with --dry-run: show so many jobs (else 1, with --json 1000)")
    parser.add_flag("strict", help="a word that means nothing is a mistake, as in a .pesc file")
    parser.add_flag("lenient", help="a word that means nothing is a warning, as in a file of HTCondor's")
    parser.add_flag("help-commands", metavar="WORD", nargs="?", const="", default=None,
                    help="tell what a submit file may say: every command, or one")
    parser.add_flag("header", metavar="LANG", help="print the header for programs in a language: python, r, julia, "
                    "octave, shell, java, c, cpp, fortran, rust")
    parser.add_flag("wait", help="watch the jobs and fetch what they leave behind")
    parser.add_flag("output", "o", metavar="DIR", default=None, help="with --wait: where to (else pesc-CLUSTER)")
    parser.add_flag("hold", help="queue the jobs on hold")
    parser.add_flag("quiet", "q", help="print nothing but what is wrong")
    parser.add_json()
    parser.add_pool()
    chosen = parser.read(_joined_appends(arguments))
    for variable in chosen.variables:
        if "=" not in variable:
            parser.error(f"{variable!r} is neither NAME=VALUE nor an option; one file is submitted at a time")
    if chosen.strict and chosen.lenient:
        parser.error("--strict and --lenient are opposites; give one of them")
    if chosen.output and not chosen.wait:
        parser.error("--output is for --wait; later, fetch with: pesc_fetch CLUSTER -o DIR")
    return chosen


def _header_asked(arguments: list[str]) -> str | None:
    """The language of --header LANG, which asks for nothing else."""
    for at, word in enumerate(arguments):
        if word in ("--header", "-header") and at + 1 < len(arguments):
            return arguments[at + 1]
        if word.startswith("--header="):
            return word.partition("=")[2]
    return None


def _joined_appends(arguments: list[str]) -> list[str]:
    """`-append '-x = 1'`: whatever follows is the line, even if it looks like an option."""
    joined: list[str] = []
    words = iter(arguments)
    for word in words:
        following = next(words, None) if word in ("-append", "--append", "-a") else None
        joined += [word] if following is None else [f"--append={following}"]
    return joined


# --- the file -------------------------------------------------------------------------


def _read(chosen: argparse.Namespace) -> tuple[str, Description]:
    """The text of the file and what it asks for."""
    from cli.localfiles import LocalFiles, submit_site
    from dsl.submit import read

    name = "<stdin>" if chosen.file == "-" else chosen.file
    text = _text(chosen.file)
    site = submit_site()
    variables = dict(variable.split("=", 1) for variable in chosen.variables)
    appended = [*chosen.append, *(["hold = true"] if chosen.hold else [])]
    return text, read(text, name=name, files=LocalFiles(site.iwd), variables=variables, appended=appended,
                      environ=os.environ, site=site,
                      strict=True if chosen.strict else False if chosen.lenient else None)


def _text(path: str) -> str:
    """The bytes of a file as text; what is not UTF-8 is said later, with its place."""
    if path == "-":
        raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        try:
            with open(path, "rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            why = "it is a folder" if isinstance(error, IsADirectoryError) else error.strerror or str(error)
            raise Problem("bad_submission", f"Cannot read the submit file {path}: {why}.",
                          "Is the name right? See pesc_submit --help.") from None
    if len(raw) > MAX_FILE_BYTES:
        raise Problem("too_large", f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB.",
                      "Put item tables into a file of their own: queue … from FILE.")
    return raw.decode("utf-8", "surrogateescape")


def _refuse(mistakes: list[Mistake], chosen: argparse.Namespace) -> int:
    """Say everything that is wrong."""
    if chosen.json:
        say_json({"ok": False, "errors": [mistake.as_json() for mistake in mistakes], "warnings": [], "unused": [],
                  "nprocs": 0, "procs": []})
    sys.stdout.flush()
    print("\n".join(map(str, mistakes[:TOLD_MISTAKES])), file=sys.stderr)
    if len(mistakes) > TOLD_MISTAKES:
        print(f"… and {len(mistakes) - TOLD_MISTAKES} more.", file=sys.stderr)
    complain(NAME, f"{count_of(len(mistakes), 'mistake')}; nothing was queued.")
    return FAILED


# --- to the pool ----------------------------------------------------------------------


def _submit(chosen: argparse.Namespace, text: str, description: Description) -> int:
    if not description.count:
        raise Problem("bad_submission", f"{description.name} queues no jobs: there are no items.",
                      "See what its queue line finds: pesc_submit --dry-run.")
    client = connect(chosen)
    with_header = _with_header(description)
    packed = _packed(description, with_header)
    try:
        submitted = _post(client, packed, text, description)
    except KeyboardInterrupt:
        complain(NAME, "Interrupted while it was being submitted; the jobs may be queued all the same.\n"
                       "  See: pesc_q.")
        return INTERRUPTED
    cluster = submitted.cluster
    if chosen.json and not chosen.wait:
        say_json({"cluster": cluster, "jobs": submitted.jobs})
    elif not chosen.quiet and not chosen.json:
        say(f"{submitted.jobs} job(s) submitted to cluster {cluster}.")
        _tell_of_header(with_header)
        if not chosen.wait:
            say(f"  Look: pesc_q {cluster}    wait: pesc_wait {cluster}    outputs: pesc_fetch {cluster}")
        sys.stdout.flush()
    return _wait(chosen, client, submitted) if chosen.wait else DONE


def _with_header(description: Description) -> "list[Changed]":
    if "process" not in description.varying and "PescProcess" not in description.template:
        return []
    from cli.headers import changed

    return changed(description)[0]


def _tell_of_header(with_header: "list[Changed]") -> None:
    if with_header:
        from cli.headers import in_words

        say("\n".join(f"  {in_words(one)}" for one in with_header[:3]))


def _packed(description: Description, with_header: "list[Changed]") -> "Packed":
    """Digest what travels; every file that cannot is a mistake where the submit file names it."""
    from cli.culprits import culprit, unwritable_log
    from cli.pack import pack

    is_built = "PescBuild" in description.template
    interpreted = {path for path, mains in description.processes().items()
                   if is_built or "native" not in mains.values()}
    packed, unfit = pack(description.travelling(), _copies(with_header), interpreted)
    if description.domain is not None:
        from cli.domainfiles import pack_domain

        unfit += pack_domain(packed, description.domain)
    mistakes = [culprit(description, error.of, error.what, error.cure) for error in unfit]
    if mistakes := mistakes + unwritable_log(description):
        raise SubmitErrors(mistakes)
    return packed


def _copies(with_header: "list[Changed]") -> dict[str, dict[str, bytes]]:
    """What travels instead of main files, as `pack` wants it."""
    made: dict[str, dict[str, bytes]] = {}
    for one in with_header:
        made.setdefault(one.process, {})[one.main] = one.copy.text.encode()
    return made


def _post(client: "Client", packed: "Packed", text: str, description: Description) -> "Submitted":
    """Send the contents that are missing, then the cluster; again if one went missing meanwhile."""
    import msgspec

    from cli.pack import Unfit
    from cli.upload import upload
    from contract.requests import Submission, Submitted, SweepAxis
    from contract.vocabulary import MAX_SUBMISSION_BYTES

    sweep = [SweepAxis(axis.names, axis.kinds, axis.count, axis.start, axis.step, axis.places, axis.rows)
             for axis in description.sweep]
    submission = Submission(
        count=description.count, template=description.template, varying=description.varying,
        macros=description.macros, item_names=description.item_names, items=description.items,
        steps=description.steps, sweep=sweep, files=packed.files, domain=packed.domain,
        source=text[:KEPT_SOURCE_CHARACTERS],
        key=os.urandom(16).hex())
    body = msgspec.json.encode(submission)
    if len(body) > MAX_SUBMISSION_BYTES:
        raise Problem("too_large", f"This submission is {len(body) >> 20} MiB large; a pool takes "
                      f"{MAX_SUBMISSION_BYTES >> 20}.", "Submit fewer items, or fewer input files, at a time.")
    try:
        upload(client, packed)
        try:
            answer = _post_once(client, body)
        except Problem as problem:
            if problem.code != "missing_content":
                raise
            upload(client, packed)
            answer = _post_once(client, body)
    except Unfit as error:
        raise Problem("bad_submission", f"{error.what}.", error.cure) from None
    try:
        return msgspec.json.decode(answer, type=Submitted)
    except msgspec.MsgspecError as error:
        raise Problem("broken_answer", f"The schedd's answer was not understood: {error}.",
                      "See pesc_q for whether the jobs are there.") from None


def _post_once(client: "Client", body: bytes) -> bytes:
    """Post; ask again while a schedd that was there a moment ago restarts: it knows the key."""
    from contract.client import wait_until_answers

    while True:
        try:
            return client.exchange("POST", "/v1/clusters", body, headers={"Content-Type": "application/json"})[1]
        except Problem as problem:
            gone = problem.code == "pool_stopped" and client.has_answered
            if not (gone and wait_until_answers(client, RESTART_SECONDS)):
                raise


# --- waiting --------------------------------------------------------------------------


def _wait(chosen: argparse.Namespace, client: "Client", submitted: "Submitted") -> int:
    """Follow the cluster to its end and fetch what it left; the jobs do not mind if we stop."""
    from cli.progress import follow, is_over

    cluster = submitted.cluster
    try:
        batch = follow(client, [cluster], submitted.event, quiet=chosen.quiet or chosen.json).get(cluster)
        if batch is None or not is_over(batch):
            if chosen.json:
                say_json({"cluster": cluster, "jobs": submitted.jobs, "over": False})
            return FAILED
        return _bring_home(chosen, client, cluster, submitted.jobs)
    except KeyboardInterrupt:
        sys.stdout.flush()
        print(f"\nThe jobs of cluster {cluster} go on without you.\n"
              f"  Come back with: pesc_wait {cluster}; fetch what they leave: pesc_fetch {cluster}; "
              f"end them: pesc_rm {cluster}.", file=sys.stderr)
        return INTERRUPTED


def _bring_home(chosen: argparse.Namespace, client: "Client", cluster: int, jobs: int) -> int:
    from cli.fetch import fetch_cluster, told

    summary = fetch_cluster(client, cluster, chosen.output or f"pesc-{cluster}")
    failed = _failed(client, cluster)
    if chosen.json:
        say_json({"cluster": cluster, "jobs": jobs, "over": True, "folder": summary.folder, "failed": bool(failed)})
    elif not chosen.quiet:
        say(told(summary))
    for line in [*summary.warnings[:TOLD_MISTAKES], *summary.failures[:TOLD_MISTAKES]]:
        complain(NAME, line)
    if failed and not chosen.quiet:
        complain(NAME, failed)
    return FAILED if failed or summary.failures else DONE


def _failed(client: "Client", cluster: int) -> str:
    """Which jobs did not complete with exit code 0, in words; "" if all did."""
    from contract.requests import Ad

    ads = client.call("GET", "/v1/history", list[Ad], id=str(cluster), limit="4",
                      constraint="JobStatus != 4 || ExitCode =!= 0",
                      attributes="ProcId,JobStatus,ExitCode,ExitSignal,RemoveReason")
    if not ads:
        return ""
    lines = [f"  {cluster}.{ad.get('ProcId')}: {_how(ad)}" for ad in ads[:3]]
    more = [f"  … see them all: pesc_history {cluster}"] if len(ads) > 3 else []
    return "\n".join(["not every job ended well.", *lines, *more])


def _how(ad: dict[str, object]) -> str:
    if ad.get("JobStatus") == 3:
        return f"removed ({ad.get('RemoveReason', 'no reason was given')})"
    if ad.get("ExitSignal") is not None:
        return f"ended by signal {ad['ExitSignal']}"
    return f"exit code {ad.get('ExitCode')}"
