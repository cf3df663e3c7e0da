"""Reading a submit file: from its text to a Description, or to all its mistakes at once.

Two steps. `statements.Statements` goes through the lines and keeps what they set;
here its commands are judged by the table, turned into attributes, and tried out on
some jobs, so that what is wrong is said where it is written.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from dsl.submit.attributes import ALWAYS, Maker, makers_for
from dsl.submit.description import PATH_COMMANDS, Description, Files, Site
from dsl.submit.environment import INHERITED, inherited
from dsl.submit.expander import Expander, own_value
from dsl.submit.given import IWD, Given, Wrong
from dsl.submit.lines import is_text
from dsl.submit.macros import ENVIRONMENT, SEED, BadMacro, Program, Scope
from dsl.submit.mistakes import Mistake, SubmitErrors, shown
from dsl.submit.policy import USER
from dsl.submit.program import check_program
from dsl.submit.sense import nonsense
from dsl.submit.statements import Statements
from dsl.submit.sweeps import BadSweep, Rows
from dsl.submit.transfer import is_address
from dsl.submit.values import count, file_list
from dsl.submit.words import AMOUNTS, Words

if TYPE_CHECKING:
    from dsl.submit.domain import Asked

MAX_JOBS = 100_000_000
MOST_NONSENSE = 50
MOST_ADDRESSES = 200
DOMAIN = frozenset({"domain", "dockerfile", "packages", "build"})
TRIED_ROWS = 500
"""So many items are tried out when the file is read; the rest when their jobs are looked at."""


def read(text: str, *, name: str, files: Files, variables: Mapping[str, str] | None = None,
         appended: Sequence[str] = (), environ: Mapping[str, str] | None = None,
         site: Site | None = None, strict: bool | None = None) -> Description:
    """Return what `text` asks for; raise SubmitErrors with everything that is wrong with it.

    `strict`: whether a word that means nothing is a mistake; not said, it is one in a `.pesc` file.
    """
    site = site or Site()
    statements = Statements(name, text, files, predefined(name, site, environ or {}), variables or {}, strict)
    statements.run(appended)
    return _Reading(statements, files, site).description()


def predefined(name: str, site: Site, environ: Mapping[str, str]) -> dict[str, str]:
    """The macros that are there from the start."""
    now = site.now
    return {
        "arch": site.arch, "opsys": site.opsys, "submit_file": name, IWD: site.iwd, USER: site.user, SEED: site.seed,
        "submit_time": str(int(now.timestamp())), "year": f"{now.year}", "month": f"{now.month}", "day": f"{now.day}",
        # What is not text cannot be put into a text.
        **{ENVIRONMENT + variable: value for variable, value in environ.items() if is_text(value)},
    }


class _Reading:
    """The second step, on what the lines have set."""

    def __init__(self, statements: Statements, files: Files, site: Site) -> None:
        self.lines = statements
        self.files = files
        self.site = site
        self.scope = statements.job_scope()
        self.words = Words(statements, self.scope)
        self.raw = self.words.raw
        self.programs: dict[str, Program] = {}
        self.template: dict[str, str] = {}
        self.varying: dict[str, str] = {}
        self.warnings: list[Mistake] = list(statements.warnings)

    def description(self) -> Description:
        self.words.sort()
        self._compile()
        self._take_environment()
        self._check_program()
        repetitions = self._repetitions()
        self._make()
        self._own_attributes()
        domain = self._domain()
        steps = self.lines.steps * repetitions
        items = self.lines.items
        rows = self._rows()
        total = steps * rows
        if total > MAX_JOBS:
            self.words.complain("repetitions" if repetitions > 1 else "queue", f"this asks for {total:,} jobs",
                                f"One file may queue {MAX_JOBS:,}.")
        macros = self._needed_macros()
        paths_vary = any(not program.constant for name, program in self.programs.items() if name in PATH_COMMANDS)
        described = Description(self.lines.name, self.template, self.varying, macros, self.lines.item_names,
                                items, self.lines.sweep, steps, total, paths_vary, self.warnings, [],
                                self.words.refusals, domain, self.words.mistake)
        if not self.lines.mistakes:
            self._try_out(described)
        self._warn_of_one_file_for_all(total)
        self._refuse_addresses()
        self._look_for_nonsense()
        self.warnings += self.words.accepted
        self.words.say_undefined(self.warnings)
        described.unused.extend(self.words.unused(self.warnings))
        self.warnings.sort(key=lambda warning: warning.order)
        if self.lines.mistakes:
            unique = dict.fromkeys(self.lines.mistakes)
            raise SubmitErrors(sorted(unique, key=lambda mistake: mistake.order), self.warnings, self.words.refusals)
        return described

    def _rows(self) -> int:
        """How many items there are."""
        if not self.lines.sweep:
            return len(self.lines.items) if self.lines.item_names else 1
        try:
            return len(Rows(self.lines.sweep))
        except BadSweep as bad:
            self.words.complain("sweep", str(bad), "", "Sweep over less, or submit in parts.")
            return 0

    def _warn_of_one_file_for_all(self, jobs: int) -> None:
        for command in ("output", "error"):
            if jobs > 1 and command in self.programs and self.programs[command].constant:
                self.warnings.append(self.words.mistake(
                    command, f"all {jobs:,} jobs have the same {command} file", "The last one to end is what stays.",
                    "Put $(Process) into the name."))

    def _wrong(self, wrong: Wrong) -> None:
        word = self.words.written_as.get(wrong.command, wrong.command)
        raw = self.lines.macros.get(word.lower(), "")
        if self.lines.is_open(raw):
            return
        if " #" in raw:
            wrong.cure = 'A "#" after a value is part of the value; comments stand on lines of their own.'
        if "$" in raw:  # the offset counts in the expanded text: point at the whole value
            try:
                expanded = self.scope.constant(raw)
            except BadMacro:
                expanded = None
            why = "\n".join(filter(None, [wrong.why, f"After expansion: {shown(expanded, 80)}" if expanded else ""]))
            found = self.lines.at_value(word, wrong.what, why, wrong.cure, 0, max(len(raw), 1))
        else:
            length = wrong.length or max(len(raw), 1)
            found = self.lines.at_value(word, wrong.what, wrong.why, wrong.cure, wrong.offset, length)
        self.lines.mistakes.append(found)

    # --- commands into attributes -----------------------------------------------------

    def _compile(self) -> None:
        for name, text in self.raw.items():
            try:
                self.programs[name] = self.scope.program(text)
                self.words.check_amount(name, self.scope.constant(text))
            except BadMacro as bad:
                self.words.complain(name, bad.what, bad.why, bad.cure)

    def _check_program(self) -> None:
        found = check_program(self.raw, self.programs, self._given(), self.files, self.site)
        for command, what, why, cure in found.mistakes:
            if command or not (self.lines.lost_lines or self.words.is_misspelt("process", "executable")):
                self.words.complain(command, what, why, cure)
        if found.main is not None:
            self.raw["main"] = found.main
            self.lines.macros.setdefault("main", found.main)  # what is written there stays: it may be wrong
            self.programs["main"] = self.scope.program(found.main)

    def _domain(self) -> "Asked | None":
        """The environment that is asked for, its Dockerfile checked."""
        if DOMAIN.isdisjoint(self.raw):
            return None
        from dsl.submit.domain import asked, in_order  # most files ask for none

        for command in DOMAIN & self.programs.keys():
            if not self.programs[command].constant:
                self.words.complain(command, f"{command} cannot differ from job to job",
                                    "It is made once for all of them.", f"Submit a file for each {command}.")
                return None
        if "build" in self.raw:
            for command in {"process", "main", "initialdir"} & self.programs.keys():
                if not self.programs[command].constant:
                    self.words.complain(command, f"with build, {command} cannot differ from job to job",
                                        "The program is made once for all of them.", "Submit a file for each.")
                    return None
        try:
            domain, checked = asked(self._given(), self.files, self.lines.block_at("dockerfile"))
        except Wrong as wrong:
            self._wrong(wrong)
            return None
        self.lines.mistakes += in_order(checked)
        self.warnings += checked.warnings
        return domain

    def _take_environment(self) -> None:
        """What `getenv` takes from the submitter's environment, read once."""
        if "getenv" not in self.raw:
            return
        wanted = self._given().text("getenv")
        if wanted is None and "getenv" in self.programs and not self.programs["getenv"].constant:
            self.words.complain("getenv", "getenv cannot differ from job to job",
                                "The environment is read once, at submission.")
        if (word := (wanted or "").strip().lower()) in ("yes", "no"):
            self.warnings.append(self.words.mistake(
                "getenv", f"this asks for a variable called {word}", "As in HTCondor.",
                f"Write: getenv = {'true' if word == 'yes' else 'false'}"))
        environ = {name.removeprefix(ENVIRONMENT): value for name, value in self.lines.macros.items()
                   if name.startswith(ENVIRONMENT)}
        self.lines.macros[INHERITED] = inherited(wanted or "", environ)

    def _refuse_addresses(self) -> None:
        """Files that would have to be fetched from elsewhere."""
        text = self.raw.get("transfer_input_files", "")
        addresses = (name for name in dict.fromkeys(file_list(text)) if is_address(name))
        for name in islice(addresses, MOST_ADDRESSES):
            self.words.refusals.append(self.words.mistake(
                "transfer_input_files", f"{shown(name)} is an address; fetching from addresses is not carried "
                "out by this version", "", "Download it first and name the file.", name))

    def _look_for_nonsense(self) -> None:
        """Expressions that make no sense, where nothing else is wrong with them."""
        wrong = {(said.file, said.line) for said in self.lines.mistakes}
        own = [word for word in self.lines.macros if word.startswith("+")]
        told = 0
        for command in (*self.raw, *own):
            text = self.raw.get(command) or self.lines.macros.get(command, "")
            if self.lines.is_open(text):
                continue
            with suppress(BadMacro):
                text = self.scope.constant(text) or ""
            for found in nonsense(command, text.strip(), self.template) if text.strip() else ():
                said = self.words.mistake(command, found.what, found.why, found.cure,
                                          text.strip()[found.offset : found.offset + found.length])
                told += 1
                if told > MOST_NONSENSE:
                    return
                if (said.file, said.line) not in wrong:
                    (self.lines.mistakes if self.lines.is_strict else self.warnings).append(said)

    def _given(self) -> Given:
        constant = {name: program for name, program in self.programs.items() if program.constant}
        return Given(self.scope, constant, {})

    def _repetitions(self) -> int:
        try:
            text = self._given().text("repetitions")
            if text is None and "repetitions" in self.raw:
                raise Wrong("repetitions", "repetitions cannot differ from job to job")
            return 1 if text is None else count("repetitions", text)
        except Wrong:
            return 1  # said by its maker

    def _make(self) -> None:
        """Run each maker: once for the cluster, or leave it to the jobs."""
        self.template |= ALWAYS
        if self.site.file_system_domain:
            self.template["FileSystemDomain"] = f'"{self.site.file_system_domain}"'
        given = Given(self.scope, self.programs, {})
        for maker in makers_for(self.raw):
            if any(not self.programs[name].constant for name in maker.reads if name in self.programs):
                self._leave_to_jobs(maker)
                continue
            try:
                self.template |= maker.make(given)
            except Wrong as wrong:
                self._wrong(wrong)

    def _leave_to_jobs(self, maker: Maker) -> None:
        if "repetitions" in maker.reads:
            self.words.complain("repetitions", "repetitions cannot differ from job to job")
            return
        self.varying |= {name: self.raw[name] for name in maker.reads if name in self.raw}

    def _own_attributes(self) -> None:
        """`+Name = expression`: they go over what commands made, in whatever case they are written."""
        own = {word: text for word, text in self.lines.macros.items() if word.startswith("+")}
        made_by_jobs = self._made_by_jobs() if own and self.varying else {}
        spelled = {name.lower(): name for name in self.template} | made_by_jobs
        for word, text in own.items():
            name = self.lines.spelled(word).lstrip("+")
            name = name[3:] if name.lower().startswith("my.") else name
            name = spelled.get(name.lower(), name)
            try:
                value = self.scope.constant(text)
                if value is None or name.lower() in made_by_jobs:
                    self.varying[f"+{name}"] = text
                else:
                    self.template[name] = own_value(name, value)
            except BadMacro as bad:
                self.words.complain(word, bad.what, bad.why, bad.cure)
            except Wrong as wrong:
                wrong.command = word
                self._wrong(wrong)

    def _made_by_jobs(self) -> dict[str, str]:
        """The attributes that will be made anew for every job, by lower-case name."""
        try:
            return {name.lower(): name for name in self._expander().attributes(1, 0)}
        except SubmitErrors:
            return {}

    def _expander(self) -> Expander:
        return Expander(self.varying, self.lines.macros, self.lines.item_names, self.lines.items,
                        self.lines.steps, sweep=self.lines.sweep)

    def _needed_macros(self) -> dict[str, str]:
        """The macros that the jobs' own texts need, item cells included."""
        if not self.varying:
            return {}
        scope = Scope(self.lines.macros, self.scope.live)
        for text in (*self.varying.values(), *self.lines.cells_with_macros()):
            with suppress(BadMacro):  # said when it is tried out
                scope.program(text)
        needed = scope.used | {IWD, INHERITED, "arch", "opsys"}
        if not {"accounting_group", "accounting_group_user", "nice_user"}.isdisjoint(self.varying):
            needed.add(USER)
        return {name: self.lines.macros[name] for name in sorted(needed) if name in self.lines.macros}

    def _try_out(self, described: Description) -> None:
        """Make some jobs: what is wrong in an item should not wait for its turn."""
        if not (described.varying or described.sweep) or not described.count:
            return
        try:
            expander = described.expander()
        except SubmitErrors as errors:
            self.lines.mistakes += errors.mistakes
            return
        rows = min(described.count // described.steps, TRIED_ROWS) or 1
        tried = {0, described.count - 1, *(row * described.steps for row in range(rows))}
        for proc in sorted(tried):
            try:
                expander.attributes(1, proc)
            except SubmitErrors as errors:
                self._say_of_job(errors.mistakes[0], proc)
                return
            if not self._amounts_are_right(expander, proc):
                return
        self.scope.used |= expander.scope.used

    def _amounts_are_right(self, expander: Expander, proc: int) -> bool:
        values = expander.values(1, proc)
        right = [self.words.check_amount(name, expander.scope.expand(program, values), f"This is so for job {proc}.")
                 for name, program in self.programs.items() if name in AMOUNTS and not program.constant]
        return all(right)

    def _say_of_job(self, mistake: Mistake, proc: int) -> None:
        command = mistake.file.partition(" of job ")[0]
        why = "\n".join(filter(None, [mistake.why, f"This is so for job {proc}."]))
        if command in self.raw or command.lower() in self.lines.macros:
            self.words.complain(command.lower(), mistake.what, why, mistake.cure)
        elif not self.lines.left_open:
            self.lines.mistakes.append(Mistake(self.lines.name, 0, 0, mistake.what, why, mistake.cure))
