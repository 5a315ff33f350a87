"""permessage-deflate (RFC 7692): its negotiation, as pure functions for the opening handshake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from wsproto import ConnectionType

from polysocket._core.zlib_streams import Deflater, Inflater
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade

__all__ = ["NAME", "DeflateParameters", "Parameters", "PerMessageDeflate", "accept", "agree", "offer"]


NAME: Final = "permessage-deflate"

Parameters = Sequence[tuple[str, str | None]]
"""The parameters of one element of ``Sec-WebSocket-Extensions``, in their order; None for one without a value."""

_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_LIMITS = ("server_max_window_bits", "client_max_window_bits")
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}  # RFC 7692 §7.1.2: a decimal number without leading zeros


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """The agreed parameters, the same for both sides; window bits without a limit are None, which means 15."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def __str__(self) -> str:
        """Return the text of the Sec-WebSocket-Extensions header that agrees on the parameters."""
        return _header_text(self)


def _header_text(parameters: DeflateParameters | Deflate) -> str:
    flags = [name for name in _FLAGS if getattr(parameters, name)]
    limits = [f"{name}={bits}" for name in _LIMITS if (bits := getattr(parameters, name)) is not None]
    return "; ".join([NAME, *flags, *limits])


@lru_cache(maxsize=16)  # A program connects with few settings, and often.
def offer(config: Deflate) -> str:
    """Return the client's offer, with ``client_max_window_bits``: the server may limit our window (§7.1.2.2)."""
    wanted = _header_text(config)
    return f"{wanted}; client_max_window_bits" if config.client_max_window_bits is None else wanted


def agree(config: Deflate, params: Parameters, max_message_size: int | None) -> PerMessageDeflate:
    """Return the extension for the server's answer to :func:`offer`; raises :class:`InvalidUpgrade` (§7.1)."""
    answer = _read(params)
    if config.server_no_context_takeover and "server_no_context_takeover" not in answer:
        raise InvalidUpgrade(f"{NAME}: the answer lacks server_no_context_takeover, which was offered")
    offered_bits, server_bits = config.server_max_window_bits, answer.get("server_max_window_bits")
    if offered_bits is not None and server_bits is None:
        raise InvalidUpgrade(f"{NAME}: the answer lacks server_max_window_bits, which was offered")
    if offered_bits is not None and server_bits is not None and server_bits > offered_bits:
        raise InvalidUpgrade(f"{NAME}: the answer has server_max_window_bits={server_bits}, above {offered_bits}")
    client_bits = answer.get("client_max_window_bits")
    if client_bits is None and "client_max_window_bits" in answer:
        raise InvalidUpgrade(f"{NAME}: client_max_window_bits needs a value in an answer")
    agreed = DeflateParameters(
        server_no_context_takeover="server_no_context_takeover" in answer,
        # What the offer says of our own compressor holds, whatever is answered (§7.1.1.2, §7.1.2.2).
        client_no_context_takeover=config.client_no_context_takeover or "client_no_context_takeover" in answer,
        server_max_window_bits=server_bits,
        client_max_window_bits=_least(client_bits, config.client_max_window_bits),
    )
    return PerMessageDeflate(ConnectionType.CLIENT, agreed, config, max_message_size)


def accept(config: Deflate, params: Parameters, max_message_size: int | None) -> tuple[str, PerMessageDeflate] | None:
    """Return the server's answer to one offer, with its extension; None for an offer that RFC 7692 does not allow.

    Accept a client whose window bits can't be limited (no ``client_max_window_bits`` in the offer) with 15.
    """
    try:
        offered = _read(params)
    except InvalidUpgrade:
        return None
    client_bits = None
    if "client_max_window_bits" in offered:
        client_bits = _least(offered["client_max_window_bits"], config.client_max_window_bits)
    agreed = DeflateParameters(
        server_no_context_takeover=config.server_no_context_takeover or "server_no_context_takeover" in offered,
        client_no_context_takeover=config.client_no_context_takeover or "client_no_context_takeover" in offered,
        server_max_window_bits=_least(offered.get("server_max_window_bits"), config.server_max_window_bits),
        client_max_window_bits=client_bits,
    )
    return str(agreed), PerMessageDeflate(ConnectionType.SERVER, agreed, config, max_message_size)


def _read(params: Parameters) -> dict[str, int | None]:
    """Return the parameters by name, with their window bits if they have any; raises :class:`InvalidUpgrade`."""
    values: dict[str, int | None] = {}
    for name, value in params:
        if name in values:
            raise InvalidUpgrade(f"{NAME}: {name} is there twice")
        values[name] = None
        if name in _FLAGS:
            if value is not None:
                raise InvalidUpgrade(f"{NAME}: {name} takes no value, but has {value!r}")
        elif name not in _LIMITS:
            raise InvalidUpgrade(f"{NAME}: there is no parameter {name!r}")
        elif value is not None or name != "client_max_window_bits":  # It needs none in an offer (§7.1.2.2).
            if value not in _WINDOW_BITS:
                raise InvalidUpgrade(f"{NAME}: {name} needs a number from 8 to 15, but has {value!r}")
            values[name] = _WINDOW_BITS[value]
    return values


def _least(*limits: int | None) -> int | None:
    """Return the least of the limits that are set."""
    return min([limit for limit in limits if limit is not None], default=None)


class PerMessageDeflate:
    """The extension of one connection: what is agreed, and the streams of both directions."""

    def __init__(
        self,
        role: ConnectionType,
        parameters: DeflateParameters,
        config: Deflate,
        max_message_size: int | None,
    ) -> None:
        self.parameters: DeflateParameters = parameters
        client = parameters.client_no_context_takeover, parameters.client_max_window_bits or 15
        server = parameters.server_no_context_takeover, parameters.server_max_window_bits or 15
        outbound, inbound = (client, server) if role is ConnectionType.CLIENT else (server, client)
        no_context_takeover, limit = outbound
        # A smaller window than agreed needs no agreement: the peer's inflater can decode its matches.
        window_bits = min(limit, config.window_bits)
        self.deflater: Deflater = Deflater(no_context_takeover, window_bits, config.level, config.memory_level)
        self.inflater: Inflater = Inflater(*inbound, max_message_size)
