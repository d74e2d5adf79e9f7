"""The house's own components, which enter by the strangers' door."""

from mailplat.interfaces import (
    IContentStore,
    IDeliveryAgent,
    IDirectory,
    IDirectoryAdmin,
    IFilter,
    IMailStore,
    IPolicy,
    IPortal,
    ITextExtractor,
)
from mailplat.plugin import Component

# Portals

smtp = Component(
    name="smtp",
    provides=IPortal,
    settings="mailplat.portals.smtp.service.SmtpPortalSettings",
    maker="mailplat.portals.smtp.service.SmtpPortal",
)
lmtp = Component(
    name="lmtp",
    provides=IPortal,
    settings="mailplat.portals.smtp.service.LmtpPortalSettings",
    maker="mailplat.portals.smtp.service.LmtpPortal",
)

pop3 = Component(
    name="pop3",
    provides=IPortal,
    settings="mailplat.portals.pop3.service.Pop3PortalSettings",
    maker="mailplat.portals.pop3.service.Pop3Portal",
)

imap = Component(
    name="imap",
    provides=IPortal,
    settings="mailplat.portals.imap.service.ImapPortalSettings",
    maker="mailplat.portals.imap.service.ImapPortal",
)

# Policies

recipients = Component(
    name="recipients",
    provides=IPolicy,
    maker="mailplat.pipeline.policies.recipients.Recipients",
)
relaying = Component(
    name="relaying",
    provides=IPolicy,
    maker="mailplat.pipeline.policies.relaying.Relaying",
)
senders = Component(
    name="senders",
    provides=IPolicy,
    maker="mailplat.pipeline.policies.senders.Senders",
)

# Filters

loops = Component(
    name="loops",
    provides=IFilter,
    settings="mailplat.pipeline.filters.loops.LoopGuardSettings",
    maker="mailplat.pipeline.filters.loops.LoopGuard",
)

masquerade = Component(
    name="masquerade",
    provides=IFilter,
    settings="mailplat.pipeline.filters.masquerade.MasqueradeSettings",
    maker="mailplat.pipeline.filters.masquerade.Masquerade",
)
complete = Component(
    name="complete",
    provides=IFilter,
    settings="mailplat.pipeline.filters.complete.CompleteSettings",
    maker="mailplat.pipeline.filters.complete.Complete",
)
sign = Component(
    name="sign",
    provides=IFilter,
    settings="mailplat.pipeline.filters.sign.SignSettings",
    maker="mailplat.pipeline.filters.sign.Sign",
)

# Delivery agents

local = Component(
    name="local",
    provides=IDeliveryAgent,
    settings="mailplat.delivery.local.LocalSettings",
    maker="mailplat.delivery.local.LocalDelivery",
)
discard = Component(
    name="discard",
    provides=IDeliveryAgent,
    maker="mailplat.delivery.discard.Discard",
)

relay = Component(
    name="relay",
    provides=IDeliveryAgent,
    settings="mailplat.delivery.relay.agents.RelaySettings",
    maker="mailplat.delivery.relay.agents.Relay",
)
smarthost = Component(
    name="smarthost",
    provides=IDeliveryAgent,
    settings="mailplat.delivery.relay.agents.SmarthostSettings",
    maker="mailplat.delivery.relay.agents.Smarthost",
)
lmtp_agent = Component(
    name="lmtp",
    provides=IDeliveryAgent,
    settings="mailplat.delivery.relay.agents.LmtpSettings",
    maker="mailplat.delivery.relay.agents.Lmtp",
)

# Stores

indexed = Component(
    name="indexed",
    provides=IMailStore,
    settings="mailplat.store.indexed.store.IndexedStoreSettings",
    maker="mailplat.store.indexed.store.IndexedStore",
)
memory = Component(
    name="memory",
    provides=IMailStore,
    maker="mailplat.store.memory.MemoryStore",
)

# Places of contents

files = Component(
    name="files",
    provides=IContentStore,
    settings="mailplat.store.contents.files.ContentFilesSettings",
    maker="mailplat.store.contents.files.ContentFiles",
)

maildir = Component(
    name="maildir",
    provides=IContentStore,
    settings="mailplat.store.contents.maildir.place.MaildirSettings",
    maker="mailplat.store.contents.maildir.place.Maildirs",
)

# Handlers of parts, for the index

calendar = Component(
    name="calendar",
    provides=ITextExtractor,
    maker="mailplat.texts.calendar.CalendarText",
)

# Directories

database = Component(
    name="database",
    provides=(IDirectory, IDirectoryAdmin),
    settings="mailplat.directory.directory.DirectorySettings",
    maker="mailplat.directory.directory.Directory",
)
