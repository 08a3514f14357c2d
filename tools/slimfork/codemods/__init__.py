"""Edits, and patches made of them: all that a patch file imports."""

from slimfork.codemods.calls import Argument
from slimfork.codemods.codemod import Import, Insert, Replace
from slimfork.codemods.patch import Patch, Variant
from slimfork.codemods.settings import LocalVersion, Members, YamlKeys

__all__ = ["Argument", "Import", "Insert", "LocalVersion", "Members", "Patch", "Replace", "Variant", "YamlKeys"]
