"""OpenSSL judges certificates by TLSA records as we do."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from socket import create_server, socket
from threading import Thread

import pytest
from cryptography import x509

from mailplat.mail.dns import Tlsa
from mailplat.mail.limits import KIB
from mailplat.testing.issuing import NOW, Issued, issue
from mailplat.testing.programs import LOOPBACK
from mailplat.trust.certificates import NotAuthentic
from mailplat.trust.dane import TlsaPolicy, text_of

pytestmark = pytest.mark.interop

HOST = "mx.example.org"
ROOT = issue("root", ca=True)
MIDDLE = issue("middle", ROOT, ca=True)
LEAF = issue("leaf", MIDDLE, hosts=[HOST])
CHAIN = (LEAF, MIDDLE, ROOT)
OTHER = issue("other", hosts=["other.example"])
WILD = issue("wild", ROOT, hosts=["*.example.org"])
TOO_WILD = issue("wild", ROOT, hosts=["*.org"])
OLD = issue("old", begin=-90, days=-1, hosts=[HOST])
OLD_LEAF = issue("leaf", ROOT, days=-1, hosts=[HOST])
OLD_ROOT = issue("root", ca=True, days=-1)
OF_OLD_ROOT = issue("leaf", OLD_ROOT, hosts=[HOST])
NAMELESS = issue(HOST, ROOT)
NO_AUTHORITY = issue("middle", ROOT)
OF_NO_AUTHORITY = issue("leaf", NO_AUTHORITY, hosts=[HOST])
SHORT = issue("root", ca=True, path_length=0)
OF_SHORT = issue("middle", SHORT, ca=True)
TOO_FAR = issue("leaf", OF_SHORT, hosts=[HOST])
NO_SIGNER = issue("root", ca=True, more=[(x509.KeyUsage(True, *[False] * 8), True)])
OF_NO_SIGNER = issue("leaf", NO_SIGNER, hosts=[HOST])

CASES: dict[str, tuple[Sequence[Issued], Sequence[Tlsa]]] = {
    **{
        f"{usage}{selector}{matching}": (CHAIN, [who.record(usage, selector, matching)])
        for usage, who in ((3, LEAF), (2, ROOT))
        for selector in (0, 1)
        for matching in (0, 1, 2)
    },
    "middle": (CHAIN, [MIDDLE.record(2)]),
    "self-signed": ([OTHER], [OTHER.record(3)]),
    "old": ([OLD], [OLD.record(3)]),
    "another": (CHAIN, [OTHER.record(3)]),
    "another and right": (CHAIN, [OTHER.record(3), LEAF.record(3)]),
    "another by a stronger digest": (CHAIN, [OTHER.record(3, 1, 2), LEAF.record(3, 1, 1)]),
    "authority as host": (CHAIN, [ROOT.record(3)]),
    "host as authority": ([OTHER], [OTHER.record(2)]),
    "not shown": ([LEAF, MIDDLE], [ROOT.record(2)]),
    "not shown but whole": ([LEAF, MIDDLE], [ROOT.record(2, 0, 0)]),
    "not shown but its key": ([LEAF, MIDDLE], [ROOT.record(2, 1, 0)]),
    "incomplete": ([LEAF], [ROOT.record(2, 0, 0)]),
    "wildcard": ([WILD, ROOT], [ROOT.record(2)]),
    "too wild": ([TOO_WILD, ROOT], [ROOT.record(2)]),
    "old host": ([OLD_LEAF, ROOT], [ROOT.record(2)]),
    "old authority": ([OF_OLD_ROOT, OLD_ROOT], [OLD_ROOT.record(2)]),
    "common name": ([NAMELESS, ROOT], [ROOT.record(2)]),
    "another name": ([issue("x", ROOT, hosts=["x.example"]), ROOT], [ROOT.record(2)]),
    "no authority": ([OF_NO_AUTHORITY, NO_AUTHORITY, ROOT], [ROOT.record(2)]),
    "too far": ([TOO_FAR, OF_SHORT, SHORT], [SHORT.record(2)]),
    "may not sign": ([OF_NO_SIGNER, NO_SIGNER], [NO_SIGNER.record(2)]),
}


def ours(chain: Sequence[Issued], records: Sequence[Tlsa]) -> bool:
    try:
        TlsaPolicy.of(records).check([one.der for one in chain], [HOST], NOW)
    except NotAuthentic:
        return False
    return True


@pytest.fixture
def openssl(
    real: Callable[[str, str], str], tmp_path: Path
) -> Callable[[Sequence[Issued], Sequence[Tlsa]], bool]:
    program = real("openssl", "openssl")

    def verified(chain: Sequence[Issued], records: Sequence[Tlsa]) -> bool:
        file = tmp_path / "chain.pem"
        file.write_bytes(chain[0].secret + b"".join(one.pem for one in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        with create_server((LOOPBACK, 0)) as listening:
            served = Thread(target=serve_once, args=(listening, context))
            served.start()
            place = f"{LOOPBACK}:{listening.getsockname()[1]}"
            command = [program, "s_client", "-connect", place, "-servername", HOST]
            command += ["-dane_tlsa_domain", HOST, "-dane_ee_no_namechecks", "-brief"]
            command += ["-attime", str(int(NOW.timestamp())), "-verify_return_error"]
            for record in records:
                command += ["-dane_tlsa_rrdata", text_of(record)]
            done = subprocess.run(command, input=b"", capture_output=True, timeout=30)
            served.join()
        return b"Verification: OK" in done.stderr + done.stdout

    return verified


def serve_once(listening: socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    with (
        connection,
        suppress(OSError),
        context.wrap_socket(connection, server_side=True) as tls,
    ):
        tls.recv(KIB)


@pytest.mark.parametrize("case", CASES)
def test_the_same_hosts_are_believed(case: str, openssl) -> None:
    chain, records = CASES[case]
    assert ours(chain, records) is openssl(chain, records)
