"""The table of measured times, kept between runs in the user's cache, one file a machine and ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from contextlib import suppress
from pathlib import Path

from .measure import default_threads


class Timings(dict[str, float]):
    """Entry of the table -> milliseconds, and where they are kept."""

    def __init__(self, place: Path, threads: int) -> None:
        super().__init__()
        self.place, self.threads = place, threads

    @classmethod
    def read(cls, threads: int | None = None) -> Timings:
        """Return what is known of this machine; a file that cannot be read counts for nothing.

        Args:
            threads: Of ONNX Runtime; as many as inference takes by default when None.
        """
        threads = threads or default_threads()
        timings = cls(_folder() / f"latency-{_machine()}-{_runtime()}-{threads}-threads.json", threads)
        with suppress(AttributeError, OSError, TypeError, ValueError):
            known = json.loads(timings.place.read_text(encoding="utf-8"))
            timings.update({str(key): float(value) for key, value in known.items()})
        return timings

    def write(self) -> None:
        """Keep the table, with what another process has added meanwhile; where there is no room, keep nothing."""
        merged = {**Timings.read(self.threads), **self}
        with suppress(OSError):
            self.place.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self.place.parent, prefix=self.place.name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(merged, file, indent=0, sort_keys=True)
            Path(part).replace(self.place)


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "slim"


def _machine() -> str:
    """Return a short name for this machine; a home may be shared by several."""
    facts = (platform.node(), platform.machine(), platform.processor(), str(os.cpu_count()))
    return hashlib.sha256("|".join(facts).encode()).hexdigest()[:12]


def _runtime() -> str:
    try:
        import onnxruntime as ort  # noqa: PLC0415 - not every fork has it
    except ImportError:
        return "no-onnxruntime"
    return f"onnxruntime-{ort.__version__}"
