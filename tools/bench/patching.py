"""CPU seconds that `apply-patches vendor` takes once a release is fetched: `python tools/bench/patching.py [SPEC ...]`.

Each run is a process of its own, start-up included; printed are the median and range of user + system time.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 7
SPECS = ("ultralytics==8.4.190", "ultralytics==8.0.100")


def once(spec: str) -> float:
    """Vendor a release into a new folder and return the CPU seconds of that."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["apply-patches", "vendor", spec, "--into", str(Path(folder) / "fork")]
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure the releases that are named, or the two that tools/README.md speaks of."""
    for spec in sys.argv[1:] or SPECS:
        once(spec)  # fetches, and warms the file cache
        seconds = [once(spec) for _ in range(RUNS)]
        low, high = min(seconds), max(seconds)
        print(f"{spec}: {statistics.median(seconds):.2f} s CPU (median of {RUNS}, {low:.2f} to {high:.2f})")  # noqa: T201


if __name__ == "__main__":
    main()
