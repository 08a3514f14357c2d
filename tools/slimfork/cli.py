"""The `apply-patches` command: walks `slimfork.commands`, one module a verb, and turns errors into exit codes."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import signal
import sys
import traceback

import click

from slimfork import __version__, commands
from slimfork.terminal import ui
from slimfork.terminal.errors import SlimforkError, explain_system
from slimfork.terminal.streams import Sturdy, sturdy_streams

INTERRUPTED = 130


class Verbs(click.Group):
    """A group whose commands are the modules of `slimfork.commands`, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, sorted."""
        del ctx
        return sorted(m.name for m in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb and return its `command`."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"slimfork.commands.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="apply-patches")
@click.option("--verbose", is_flag=True, help="Show the traceback of an unexpected error.")
def cli(verbose: bool) -> None:
    """Vendor an Ultralytics or YOLOv5 release into a git repository, patched for network slimming.

    Exit codes: 0 done, or nothing to do; 1 a check found something; 2 usage, configuration or pin mismatch;
    3 a patch does not fit, or a merge conflict; 130 interrupted.
    """
    del verbose  # read by main() from the arguments: it must work when parsing fails, too


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended, too
    gc.disable()  # a run is short, and syntax trees are many objects in few cycles: an eighth less CPU
    stdout = sturdy_streams()
    sys.exit(_said(stdout, run(sys.argv[1:])))


def _said(stdout: Sturdy, code: int) -> int:
    """Return the exit code, once the result has been written; 2 when it could not be."""
    sys.stdout.flush()
    if stdout.failure is None:
        return code
    what = f"cannot write the result to stdout: {stdout.failure.strerror}"
    ui.failure(SlimforkError(what, hint="run it again with a stdout that takes it; what it had to do besides is done"))
    return INTERRUPTED if code == INTERRUPTED else SlimforkError.code


def run(arguments: list[str]) -> int:  # noqa: PLR0911 - one for each way to end
    """Run the command line with these arguments and return its exit code."""
    try:
        code = cli.main(arguments, prog_name="apply-patches", standalone_mode=False)
    except SlimforkError as error:
        ui.failure(error)
        return error.code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        ui.usage(error)
        return SlimforkError.code
    except (OSError, MemoryError) as error:
        ui.failure(explain_system(error))
        if "--verbose" in arguments:
            traceback.print_exc()
        return SlimforkError.code
    except (KeyboardInterrupt, click.Abort):
        ui.note("interrupted; nothing was left half done")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last handler: a bug must still end in one line
        ui.note(f"bug: {type(error).__name__}: {error}")
        if "--verbose" in arguments:
            traceback.print_exc()
        else:
            ui.note("  run again with `apply-patches --verbose ...` for the traceback, and please report it")
        return 70  # EX_SOFTWARE of sysexits.h
    return code if isinstance(code, int) else 0  # what ctx.exit(n) was called with, --help's 0 for one
