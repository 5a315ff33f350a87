"""The TLS of an open connection, as a value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TLSInfo"]


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """The TLS of a connection, as it was agreed on in the TLS handshake.

    ``version`` is such as ``"TLSv1.3"``, ``cipher`` such as ``"TLS_AES_256_GCM_SHA384"``. ``peer_certificate`` is the
    peer's certificate in DER, or None if the peer has shown none, as most clients do.
    ``ssl.DER_cert_to_PEM_cert`` and ``cryptography.x509.load_der_x509_certificate`` take it.
    """

    version: str
    cipher: str
    peer_certificate: bytes | None = None

    def __repr__(self) -> str:
        size = None if self.peer_certificate is None else len(self.peer_certificate)
        certificate = "none" if size is None else f"{size} bytes"
        return f"TLSInfo({self.version}, {self.cipher}, peer certificate: {certificate})"
