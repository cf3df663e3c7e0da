"""Take so many MiB of the first GPU in sight, say so, and keep them until stdin has a line or ends."""

import ctypes
import sys


def take(mib):
    cuda = ctypes.CDLL("libcuda.so.1")
    context, memory = ctypes.c_void_p(), ctypes.c_uint64()
    for answer in (
        cuda.cuInit(0),
        cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0),
        cuda.cuCtxSetCurrent(context),
        cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(mib * 1024**2)),
    ):
        if answer:
            raise SystemExit(f"CUDA says {answer}")


if sys.argv[1] == "real":
    take(int(sys.argv[2]))
print("has it", flush=True)
sys.stdin.readline()
