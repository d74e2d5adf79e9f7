"""What operations work at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from mailplat.app.foundation import Foundation
from mailplat.app.tree import Tree
from mailplat.interfaces import IDirectory, IDirectoryAdmin, IMailStore
from mailplat.mail.address import Address
from mailplat.mail.errors import BadAddress, Unsupported
from mailplat.mail.people import Account, Alias, no_account
from mailplat.queue.queue import Queue
from mailplat.queue.routes import Routes

T = TypeVar("T")


@attrs.frozen
class Desk:
    """A tree to operate on.

    ``repeated`` says that the same operation may have been done just now by a server
    that died before it could answer: what it made may be there already.
    """

    tree: Tree
    listening: tuple[str, ...] | None = None  # where a server answers the door; None: none runs
    repeated: bool = False
    foundation: Foundation | None = None

    @property
    def ground(self) -> Foundation:
        """What the tree stands on, for what concerns the house as a whole."""
        if self.foundation is None:
            raise Unsupported("that is done from where the house stands")
        return self.foundation

    @property
    def directory(self) -> IDirectory:
        """The directory."""
        found: IDirectory = self.tree.find(IDirectory)
        return found

    @property
    def stores(self) -> Mapping[str, IMailStore]:
        """All stores, by instance name."""
        return self.tree.stores

    @property
    def store(self) -> IMailStore:
        """The store that is meant where none is named (see `Tree.store`)."""
        return self.tree.store

    async def account(self, name: str) -> Account:
        """Return the account of that name; raises `NoSuchAccount`, which names an alias."""
        found = await self.directory.account(name)
        if found is None:
            raise no_account(name, await self._alias(name))
        return found

    async def _alias(self, name: str) -> Alias | None:
        directory = self.directory
        if not IDirectoryAdmin.providedBy(directory):
            return None
        try:
            source = Address.parse(name).key
        except BadAddress:
            return None
        known: IDirectoryAdmin = directory
        return next((one for one in await known.aliases() if one.source == source), None)

    @property
    def queue(self) -> Queue:
        """The queue; it asks the configuration's routes where nobody is at work."""
        queue: Queue = self.tree.find(Queue)
        queue.routes = self.tree.find(Routes)
        return queue

    @property
    def people(self) -> IDirectoryAdmin:
        """The directory, if its entries can be changed here."""
        directory = self.directory
        if not IDirectoryAdmin.providedBy(directory):
            raise Unsupported("the directory's entries are kept elsewhere")
        changeable: IDirectoryAdmin = directory
        return changeable
