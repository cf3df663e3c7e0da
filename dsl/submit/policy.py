"""What is to happen around a job's run: retries, accounts, times, signals, checkpoints."""

import re

from dsl.submit.expressions import inside, quote, value_of
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import shown
from dsl.submit.values import Attributes, expression, integer, truth, without_quotes

USER = "factory.user"
"""The macro that carries who submits."""

NOTIFICATIONS = {"never": 0, "always": 1, "complete": 2, "error": 3, "start": 4}
SIGNALS = {number: f"SIG{name}" for number, name in enumerate(
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(), 1)}
"""Linux's, which is what jobs run on."""

UNIVERSES = {"vanilla": 5, "scheduler": 7, "grid": 9, "java": 10, "parallel": 11, "local": 12, "vm": 13,
             "docker": 5, "container": 5}
SUPPORTED_NUMBERS = {str(number): name for name, number in UNIVERSES.items() if name not in ("docker", "container")}
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\Z")
_LIMIT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?(:[0-9]+(\.[0-9]+)?)?\Z")


def universe_of(given: Given) -> str:
    """The universe's name in lower case, or Wrong."""
    text = (given.text("universe") or "vanilla").strip('"').lower()
    name = SUPPORTED_NUMBERS.get(text, text)
    if name not in UNIVERSES:
        known = ", ".join(UNIVERSES)
        raise Wrong("universe", f"there is no universe {shown(text)!r}", f"There are {known}.", "Write: vanilla")
    return name


def universe(given: Given) -> Attributes:
    name = universe_of(given)
    made = {"JobUniverse": str(UNIVERSES[name])}
    if name in ("local", "scheduler", "parallel"):
        made["KillSig"] = '"SIGTERM"'
    if name == "grid" and not given.text("grid_resource"):
        raise Wrong("universe", "a job of the grid universe needs a grid_resource", "", "Say where it goes.")
    if name == "parallel":
        if not given.text("machine_count"):
            raise Wrong("universe", "a job of the parallel universe needs a machine_count", "",
                        "Write, say: machine_count = 4")
        machines = str(integer(given, "machine_count", 1))
        made |= {"MinHosts": machines, "MaxHosts": machines, "WantIOProxy": "true", "JobRequiresSandbox": "true"}
    return made


def lease(given: Given) -> Attributes:
    """How long a machine may be silent; a job beside the schedd has none."""
    text = given.text("job_lease_duration")
    if text is not None:
        return {"JobLeaseDuration": expression("job_lease_duration", text)}
    return {} if universe_of(given) in ("local", "scheduler") else {"JobLeaseDuration": "2400"}


def exits(given: Given) -> Attributes:
    """As HTCondor: any of three commands means retries, two if not said otherwise."""
    made = {"OnExitRemove": "true", "OnExitHold": "false"}
    for command, attribute in (("on_exit_hold", "OnExitHold"), ("on_exit_hold_reason", "OnExitHoldReason"),
                               ("on_exit_hold_subcode", "OnExitHoldSubCode"), ("on_exit_remove", "OnExitRemove")):
        if (text := given.text(command)) is not None:
            made[attribute] = expression(command, text)
    until = given.text("retry_until")
    if until is None and not given.text("max_retries") and not given.text("success_exit_code"):
        return made
    made["JobMaxRetries"] = str(integer(given, "max_retries", 2))
    success = "0"
    if given.text("success_exit_code"):
        made["JobSuccessExitCode"] = str(integer(given, "success_exit_code", 0))
        success = "JobSuccessExitCode"
    remove = f"NumJobCompletions > JobMaxRetries || ExitCode =?= {success}"
    if until is not None:
        expression("retry_until", until)
        code = value_of(until) if until.lstrip("-").isdigit() else None
        remove += f" || ExitCode =?= {code}" if code is not None else f" || ({inside(until)})"
    if own := given.text("on_exit_remove"):
        remove += f" || ({inside(own)})"
    made["OnExitRemove"] = remove
    return made


def hold(given: Given) -> Attributes:
    if not truth(given, "hold"):
        return {}
    return {"JobStatus": "5", "HoldReasonCode": "15", "HoldReason": quote("submitted on hold at user's request")}


def notification(given: Given) -> Attributes:
    text = (given.text("notification") or "never").strip('"').lower()
    number = NOTIFICATIONS.get(text, int(text) if text in ("0", "1", "2", "3", "4") else None)
    if number is None:
        raise Wrong("notification", f"{shown(text)!r} is not a time for mail",
                    f"It is one of {', '.join(NOTIFICATIONS)}.", "Write: notification = never")
    return {"JobNotification": str(number)}


def accounting(given: Given) -> Attributes:
    """Group and user as HTCondor joins them; a nice user is the group `nice-user`."""
    group, user = given.text("accounting_group"), given.text("accounting_group_user")
    nice = truth(given, "nice_user")
    for command, name in (("accounting_group", group), ("accounting_group_user", user)):
        if name and not _GROUP.match(without_quotes(name)):
            raise Wrong(command, f"{shown(name)!r} is not a name", "It has letters, digits, \"_\", \"-\" and \".\".")
    if nice and not group:
        group = "nice-user"
    if not group and not user:
        return {}
    group, user = without_quotes(group or ""), without_quotes(user or "") or given.macro(USER)
    made = {"AccountingGroup": quote(f"{group}.{user}" if group else user), "AcctGroupUser": quote(user)}
    if group:
        made["AcctGroup"] = quote(group)
    if nice:
        made["MaxJobRetirementTime"] = "0"
    return made


def concurrency(given: Given) -> Attributes:
    text, formula = given.text("concurrency_limits"), given.text("concurrency_limits_expr")
    if formula is not None:
        if text is not None:
            raise Wrong("concurrency_limits_expr", "both concurrency_limits and concurrency_limits_expr are given", "",
                        "Keep one of them.")
        return {"ConcurrencyLimits": expression("concurrency_limits_expr", formula)}
    if text is None:
        return {}
    limits = [limit.strip().lower() for limit in text.split(",")]
    for limit in limits:
        if not _LIMIT.match(limit):
            raise Wrong("concurrency_limits", f"{shown(limit)!r} is not a limit", "A limit is a name, or name:count.",
                        "Write, say: concurrency_limits = licence:2")
    return {"ConcurrencyLimits": quote(",".join(limits))}


def signals(given: Given) -> Attributes:
    made = {}
    for command, attribute in (("kill_sig", "KillSig"), ("hold_kill_sig", "HoldKillSig"),
                               ("remove_kill_sig", "RemoveKillSig")):
        text = given.text(command)
        if text is None:
            continue
        name = SIGNALS.get(int(text)) if text.isdecimal() and len(text) < 4 else text.strip('"').upper()
        if name is None or name not in SIGNALS.values():
            raise Wrong(command, f"{shown(text)!r} is not a signal", "", f"Write, say: {command} = SIGTERM")
        made[attribute] = quote(name)
    return made


def deferral(given: Given) -> Attributes:
    """When the job starts: at a time, or again and again."""
    cron = {attribute: quote(text) for command, attribute in (
        ("cron_minute", "CronMinute"), ("cron_hour", "CronHour"), ("cron_day_of_month", "CronDayOfMonth"),
        ("cron_month", "CronMonth"), ("cron_day_of_week", "CronDayOfWeek")) if (text := given.text(command))}
    time = given.text("deferral_time")
    if not cron and time is None:
        return {}
    made = dict(cron)
    if time is not None:
        made["DeferralTime"] = expression("deferral_time", time)
    first, second = ("cron", "deferral") if cron else ("deferral", "cron")
    for what, attribute, default in (("window", "DeferralWindow", 0), ("prep_time", "DeferralPrepTime", 300)):
        command = f"{first}_{what}" if given.text(f"{first}_{what}") else f"{second}_{what}"
        made[attribute] = str(integer(given, command, default))
    return made


def checkpoint(given: Given) -> Attributes:
    if given.text("checkpoint_exit_code") is None:
        return {}
    code = integer(given, "checkpoint_exit_code", 0)
    if not 0 < code < 256:
        raise Wrong("checkpoint_exit_code", f"a job cannot say {code} when it has checkpointed",
                    "0 is success, and no program ends with more than 255.", "Write: checkpoint_exit_code = 85")
    return {"SuccessCheckpointExitCode": str(code), "WantFTOnCheckpoint": "true"}


def materialize(given: Given) -> Attributes:
    """Checked here; the attribute is the cluster's, not its jobs'."""
    if given.text("max_materialize"):
        integer(given, "max_materialize", 0)
    return {}


def retry_memory(given: Given) -> Attributes:
    """`retry_request_memory = 4G`: what changes in a job that had to leave for memory."""
    from dsl.submit.values import memory_mib

    text = given.text("retry_request_memory")
    if text is None:
        return {}
    mib = memory_mib("retry_request_memory", text)
    wanted = str(mib) if mib is not None else expression("retry_request_memory", text)
    body = ("REQUIREMENTS (VacateReasonCode==21 || VacateReasonCode == 34) && VacateReasonSubCode == 102"
            f"\x1eSET RequestMemory {wanted}")
    return {"TransformOnEvict": '"RequestMemory"', "TransformBody_RequestMemory": quote(body)}
