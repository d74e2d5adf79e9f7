"""Imports what a house is made of, for processes that `mailplat.testing.commands` forks.

By name, as who starts a program knows it: this floor knows nothing of the application.
No reactor is chosen here, since each process has its own.
"""

from __future__ import annotations

from importlib import import_module

for place, _words in import_module("mailplat.app.cli").COMMANDS.values():
    import_module(f"mailplat.app.cli.{place.partition(':')[0]}")
import_module("mailplat.app.cli.alone")
import_module("mailplat.app.service")
registry = import_module("mailplat.app.registry")
for known in registry.discover().components:
    registry.load(known.component.maker)
