"""The house's own components, which enter by the strangers' door."""

from mailplat.interfaces import IDirectory, IDirectoryAdmin, IMailStore
from mailplat.plugin import Component

memory = Component(
    name="memory", provides=IMailStore, maker="mailplat.store.memory.MemoryStore"
)
directory = Component(
    name="database",
    provides=(IDirectory, IDirectoryAdmin),
    settings="mailplat.directory.directory.DirectorySettings",
    maker="mailplat.directory.directory.Directory",
)
