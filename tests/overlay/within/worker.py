"""Runs inside a YOLOv5 tree: answers calls of functions in the modules it is given, one line of JSON each.

`models` and `utils` are top-level packages there, which must not get into the process of the tests.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback


def main(names: list[str]) -> None:
    """Answer each line of stdin; what upstream prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    functions = {name: value for module in names for name, value in vars(importlib.import_module(module)).items()}
    for line in sys.stdin:
        name, arguments = json.loads(line)
        sys.stderr.write(f"\n=== {name} {arguments}\n")
        try:
            answer = {"value": functions[name](**arguments)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the test
            traceback.print_exc()
            answer = {"error": [type(error).__name__, str(error)]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
