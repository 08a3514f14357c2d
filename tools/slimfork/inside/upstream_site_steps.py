"""What every Python process of upstream's tests begins with: a closed network, and figures that are not drawn.

Copied to a folder that stands on PYTHONPATH behind the tree under test, as `sitecustomize.py`.
"""

from __future__ import annotations

import errno
import importlib.util
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

REFUSED = "no network in upstream's tests"


def refuse_network() -> None:
    """Have every connection that leaves this machine fail at once, with the error of a machine that has no network.

    Upstream retries and sleeps otherwise, and its tests would depend on what a server answers today.
    """
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def refused(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not is_local(address[0]):
            raise OSError(errno.ENETUNREACH, REFUSED)
        connect(self, address)

    def refused_ex(self: socket.socket, address: Any) -> int:
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.ENETUNREACH
        return 0

    def unresolved(host: Any, *rest: Any, **more: Any) -> Any:
        if host is not None and not is_local(host):
            raise socket.gaierror(socket.EAI_NONAME, REFUSED)
        return resolve(host, *rest, **more)

    patched: Any = socket.socket
    patched.connect, patched.connect_ex = refused, refused_ex
    socket.getaddrinfo = unresolved


def is_local(host: Any) -> bool:
    """Tell whether a name or an address is this machine."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name in {"", "localhost", socket.gethostname()}:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


class BlankFigures:
    """Has matplotlib, once it is imported, save empty pictures: its figures are half the time of a small training."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Answer for `matplotlib.figure` alone."""
        del path, target
        if name != "matplotlib.figure":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            module.Figure.savefig = _save_blank(module.Figure.savefig)

        spec.loader.exec_module = exec_module
        return spec


def _save_blank(save: Any) -> Any:
    def savefig(figure: Any, target: Any, *rest: Any, **more: Any) -> None:
        if isinstance(target, (str, Path)) and Path(target).suffix in {".png", ".jpg"}:
            from PIL import Image

            Image.new("RGB", (64, 64), "white").save(target)
        else:
            save(figure, target, *rest, **more)

    return savefig


if __name__ == "sitecustomize":  # and not where a test imports it: the whole test run would be offline
    refuse_network()
    sys.meta_path.insert(0, BlankFigures())
