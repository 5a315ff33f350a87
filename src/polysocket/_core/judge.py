"""wsproto as the judge of the frames that the decoder doesn't take by itself: each Close, and what may be invalid."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Generator

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed
from wsproto.frame_protocol import Frame as Piece

from polysocket._core import fast_path
from polysocket._core.failure import Failure, not_utf8, protocol_error
from polysocket._core.masking import mask
from polysocket._core.violations import close_violation, header_violation
from polysocket.frames import Close, CloseCode

__all__ = ["judge", "verdicts"]

BAD_GATEWAY = CloseCode.BAD_GATEWAY.to_bytes(2, "big")
TRY_AGAIN_LATER = CloseCode.TRY_AGAIN_LATER.to_bytes(2, "big")

verdicts: Counter[str] = Counter()
"""How often each verdict was given. "valid data frame" counts what the decoder should have taken: it must stay 0."""


class _WSProto(FrameProtocol):
    """wsproto's decoder, out of its reference cycle: it keeps a generator, whose frame would keep the decoder."""

    def _parse_more_gen(self) -> Generator[Piece | None, None, None]:
        return FrameProtocol._parse_more_gen(weakref.proxy(self))


def judge(header: bytes, payload: bytes, *, from_client: bool, in_message: bool, compression: bool) -> Close | Failure:
    """Return the Close that the frame is, or the failure for one that is invalid.

    Args:
        header: The header, as far as it has arrived: two bytes or more.
        payload: The unmasked payload of a Close; of another frame, none is needed.
        from_client: Whether the peer is a client.
        in_message: True between two fragments of a message.
        compression: Whether permessage-deflate was negotiated.
    """
    protocol = _WSProto(client=not from_client, extensions=[])
    if in_message:
        first_fragment = bytes((fast_path.BINARY, fast_path.MASKED)) + bytes(4) if from_client else b"\x02\x00"
        protocol.receive_bytes(first_fragment)
        list(protocol.received_frames())
    # 1014 is in the registry that RFC 6455 §11.7 founds, but wsproto 1.3.2 refuses it: it is shown a 1013 instead.
    is_bad_gateway = payload[:2] == BAD_GATEWAY
    shown = TRY_AGAIN_LATER + payload[2:] if is_bad_gateway else payload
    if shown and header[1] & fast_path.MASKED:
        shown = mask(shown, header[-4:])
    try:
        protocol.receive_bytes(header + shown)
        for piece in protocol.received_frames():
            if piece.opcode is Opcode.CLOSE and isinstance(piece.payload, tuple):
                code, reason = piece.payload
                verdicts["valid Close"] += 1
                return Close(CloseCode.BAD_GATEWAY if is_bad_gateway else int(code), reason)
    except ParseFailed as error:
        if error.code is CloseReason.INVALID_FRAME_PAYLOAD_DATA:
            verdicts["invalid Close"] += 1
            return not_utf8("a Close with a reason", error.__context__)
    violation = header_violation(header, from_client=from_client, in_message=in_message, compression=compression)
    is_close = header[0] & 0x0F == fast_path.CLOSE
    verdicts["invalid header" if violation else "invalid Close" if is_close else "valid data frame"] += 1
    return protocol_error(violation or close_violation(payload))
