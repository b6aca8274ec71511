"""TLS in front of a server that has none: an authority of one's own, and a door that knows it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_AT = "127.0.0.1"
_PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Papers:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """What it signs holds for 127.0.0.1, for a day."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(name)
        signed = _certificate(self._subject, self._key, self._subject, self._key, authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def papers(self, of: str) -> Papers:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _certificate(_named(of), key, self._subject, self._key, authority=False)
        papers = Papers(self._folder / f"{of}.pem", self._folder / f"{of}.key")
        papers.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        papers.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return papers


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    at = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_AT))])
    return (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(at, critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


@contextmanager
def door(to: Path, papers: Papers, authority: Path) -> Iterator[int]:
    """A port that takes TLS from who has a certificate of the authority, and leads to a socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.certificate, papers.key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server((_AT, 0)) as listening:
        threading.Thread(target=_let_in, args=(listening, context, to), daemon=True).start()
        yield listening.getsockname()[1]


def _let_in(listening: socket.socket, context: ssl.SSLContext, to: Path) -> None:
    with suppress(OSError):
        while True:
            guest, _ = listening.accept()
            threading.Thread(target=_lead, args=(guest, context, to), daemon=True).start()


def _lead(guest: socket.socket, context: ssl.SSLContext, to: Path) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(guest, server_side=True) as inner,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.connect(str(to))
        back = threading.Thread(target=_pass, args=(server, inner), daemon=True)
        back.start()
        _pass(inner, server)
        back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Until either ends."""
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def url(port: int, authority: Path, papers: Papers | None, **options: str) -> str:
    words = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(authority), **options}
    if papers is not None:
        words |= {"ssl_certfile": str(papers.certificate), "ssl_keyfile": str(papers.key)}
    return f"rediss://{_AT}:{port}/0?{urlencode(words)}"
