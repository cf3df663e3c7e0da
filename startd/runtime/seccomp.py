"""Compile a filter of system calls once per machine, so that no container has to.

libseccomp turns the rules into a program for the kernel (BPF); handing that to the
OCI runtime costs a tenth of handing it the rules. The result is kept by the digest
of what it was made from.
"""

import ctypes
import ctypes.util
import hashlib
import os
import platform
from contextlib import suppress

import msgspec

from startd.core.seccomp import Filter, Rule, read_profile

PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")

ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_KILL": 0x00000000,
           "SCMP_ACT_KILL_THREAD": 0x00000000, "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x00030000,
           "SCMP_ACT_LOG": 0x7FFC0000}
COMPARISONS = {f"SCMP_CMP_{name}": number for number, name in enumerate(
    ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), 1)}
EPERM = 1
KNOWS_NO_SUCH_CALL = -1
LARGEST_VALUE = (1 << 64) - 1


class CannotCompile(Exception):
    """libseccomp is not there, or will not have this filter; says why."""


class _Comparison(ctypes.Structure):
    """libseccomp's `struct scmp_arg_cmp`."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def profile_here() -> tuple[bytes, Filter] | None:
    """The engine's profile, as it lies there and as it is meant for this machine; None if there is none."""
    for path in PROFILES:
        with suppress(OSError), open(path, "rb") as file:
            raw = file.read()
            major, minor = platform.release().split(".")[:2]
            return raw, read_profile(msgspec.json.decode(raw), platform.machine(),
                                     (int(major), int("".join(filter(str.isdigit, minor)) or 0)))
    return None


def compiled(raw: bytes, wanted: Filter, cache: str) -> bytes:
    """The filter as the kernel takes it; made now, or found in the folder `cache`."""
    digest = hashlib.sha256(raw + repr(wanted).encode()).hexdigest()
    path = f"{cache}/seccomp-{platform.machine()}-{digest[:32]}.bpf"
    with suppress(OSError), open(path, "rb") as file:
        return file.read()
    program = compile_filter(wanted)
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "wb") as file:
        file.write(program)
    os.rename(fresh, path)
    return program


def compile_filter(wanted: Filter) -> bytes:
    library = _library()
    context = library.seccomp_init(_action(wanted.action, wanted.errno))
    if not context:
        raise CannotCompile("libseccomp could not begin a filter")
    try:
        for architecture in wanted.architectures[1:]:
            token = library.seccomp_arch_resolve_name(architecture.removeprefix("SCMP_ARCH_").lower().encode())
            _checked(library.seccomp_arch_add(context, token), architecture)
        for rule in wanted.rules:
            _add(library, context, rule, _action(wanted.action, wanted.errno))
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, rule: Rule, default: int) -> None:
    action = _action(rule.action, rule.errno)
    if action == default:
        return
    conditions = (_Comparison * len(rule.conditions))(*(
        _Comparison(index, COMPARISONS[how], value & LARGEST_VALUE, second)
        for index, how, value, second in rule.conditions))
    for name in rule.names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == KNOWS_NO_SUCH_CALL:
            continue  # newer than this libseccomp: falls under the default, a refusal
        _checked(library.seccomp_rule_add_array(context, action, number, len(conditions), conditions), name)


def _exported(library: ctypes.CDLL, context: int) -> bytes:
    file = os.memfd_create("seccomp")
    try:
        _checked(library.seccomp_export_bpf(context, file), "export")
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


def _action(name: str, errno: int | None) -> int:
    action = ACTIONS[name]
    return action | (EPERM if errno is None else errno) if name == "SCMP_ACT_ERRNO" else action


def _checked(result: int, what: str) -> None:
    if result < 0:
        raise CannotCompile(f"libseccomp refuses {what}: {os.strerror(-result)}")


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise CannotCompile(str(error)) from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
                                               ctypes.c_void_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    return library
