"""`python -m benchmarks [NAME…]`: run the measures, print one table."""

import importlib
import sys
import time

from benchmarks.table import Row, render

MEASURES = ("throughput", "latency", "scale", "messages", "store", "classad_scalar", "classad_columns", "lint",
            "expanding", "owner", "containers")


def main() -> int:
    chosen = sys.argv[1:] or list(MEASURES)
    unknown = [name for name in chosen if name not in MEASURES]
    if unknown:
        print(f"There is no measure {', '.join(unknown)}. There are: {', '.join(MEASURES)}.", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in chosen:
        start = time.perf_counter()
        print(f"{name} …", end="", flush=True, file=sys.stderr)
        rows += importlib.import_module(f"benchmarks.{name}").measure()
        print(f" {time.perf_counter() - start:.0f} s", file=sys.stderr)
    print(render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
