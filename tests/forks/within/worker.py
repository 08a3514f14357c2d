"""Runs inside a fork, or its pristine upstream: answers calls of functions beside it, one line of JSON each.

One process serves a whole test session, because importing ultralytics and torch takes longer than most steps.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback


def main() -> None:
    """Answer each line of stdin; what upstream prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    modules = [importlib.import_module(name) for name in ("looks", "reads", "steps", "first_step", "day_two")]
    for line in sys.stdin:
        name, arguments = json.loads(line)
        sys.stderr.write(f"\n=== {name} {arguments}\n")
        function = next(vars(module)[name] for module in modules if name in vars(module))
        try:
            answer = {"value": function(**arguments)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the test
            traceback.print_exc()
            answer = {"error": [type(error).__name__, str(error)]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
