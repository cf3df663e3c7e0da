"""The name that a shared library calls itself, by which programs ask for it (ELF's DT_SONAME)."""

import os
import platform
import struct

MACHINES = {"x86_64": 62, "aarch64": 183}
PT_LOAD, PT_DYNAMIC = 1, 2
DT_STRTAB, DT_SONAME = 5, 14
MOST_HEADERS, MOST_ENTRIES, LONGEST_NAME = 64, 4096, 256


def soname(path: str) -> str | None:
    """Its name, "" if it has none; None if it is no library that a program of this machine, 64-bit, could load."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _soname(file)
    except struct.error:
        return None
    finally:
        os.close(file)


def _soname(file: int) -> str | None:
    head = os.pread(file, 64, 0)
    if head[:6] != b"\x7fELF\x02\x01":
        return None
    machine, = struct.unpack_from("<H", head, 18)
    if machine != MACHINES.get(platform.machine(), machine):
        return None
    start, = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    headers = [struct.unpack("<IIQQQQ", os.pread(file, 40, start + number * size))
               for number in range(min(count, MOST_HEADERS))]
    loaded = [(address, offset, length) for kind, _, offset, address, _, length in headers if kind == PT_LOAD]
    for kind, _, offset, _, _, length in headers:
        if kind != PT_DYNAMIC:
            continue
        table = os.pread(file, min(length, MOST_ENTRIES * 16), offset)
        said = dict(struct.iter_unpack("<QQ", table[:len(table) // 16 * 16]))
        if DT_SONAME not in said or DT_STRTAB not in said:
            return ""
        for address, place, there in loaded:
            if address <= said[DT_STRTAB] < address + there:
                at = said[DT_STRTAB] - address + place + said[DT_SONAME]
                return os.pread(file, LONGEST_NAME, at).split(b"\0", 1)[0].decode("ascii", "replace")
    return ""
