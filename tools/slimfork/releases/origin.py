"""Which git repository the tags of an upstream are fetched from."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from slimfork.terminal.errors import UsageError
from slimfork.terminal.paths import expanded

# The repository in which an upstream is developed: what the pins of its tags are commits of.
REPOSITORIES = {"yolov5": "https://github.com/ultralytics/yolov5"}


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository to fetch from: its address as git takes it, and as a person may see it, without a password."""

    address: str
    name: str
    upstream: str

    def refuse(self, why: str, hint: str | None = None) -> UsageError:
        """Return the error that names the repository."""
        where = f"--git URL_OR_PATH or {variable(self.upstream)}"
        return UsageError(f"{self.name} {why}", hint=hint or f"name another repository, such as a clone of it: {where}")


def variable(upstream: str) -> str:
    """Return the environment variable that names an upstream's repository."""
    return f"SLIMFORK_{upstream.upper()}_GIT"


def find_origin(upstream: str, named: str | None = None) -> Origin:
    """Return the repository that was named, else that of the environment, else the official one.

    Raises:
        UsageError: A path was named at which there is nothing, or the upstream has no repository.
    """
    address = named or os.environ.get(variable(upstream)) or REPOSITORIES.get(upstream)
    if not address:
        raise UsageError(f"no git repository of {upstream} is known", hint="name it: --git URL_OR_PATH")
    path = expanded(address)
    if path.exists():  # git runs elsewhere
        return Origin(str(path.resolve()), address, upstream)
    origin = Origin(address, _without_password(address), upstream)
    if "://" not in address and not re.match(r"[^/\\]{2,}:", address):  # nor host:path, as ssh has it
        raise origin.refuse("does not exist")
    return origin


def _without_password(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:  # no address that can be read: what stands before the last @ may be a password all the same
        return address.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else address
