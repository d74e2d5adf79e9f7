"""mailplat, a pluggable mail platform on Twisted.

The house has floors, and imports point down:

5. `pytest_plugin`: a whole house for tests.
4. `app`: configuration, registry, wiring, service tree, operations, command line.
3. Rooms, without doors between them: `portals`, `pipeline`, `delivery`, `store`,
   `directory`, `journal`, `texts`, `bus`.  They meet by interfaces and events.
2. Instruments: `wire`, `workers`, `files`, `sniffing`, `sql` above them, `testing` above
   that, and `child` below `workers`: what runs in child processes.
1. The contract: `interfaces` and `plugin`.
0. What mail is: `mail`.

``docs/architecture.md`` tells the why; import-linter holds us to it.
"""

__version__ = "0.1.0.dev0"

READY = "mailplat is ready"
"""What the server logs when every door is open, for whoever has started it."""
