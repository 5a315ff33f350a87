"""The compression of polysocket as an extension of wsproto, which judges it."""

from __future__ import annotations

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from polysocket._core import close_codes
from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.failure import Failure, Refused, protocol_error

CODES = {
    close_codes.PROTOCOL_VIOLATED: CloseReason.PROTOCOL_ERROR,
    close_codes.TEXT_INVALID: CloseReason.INVALID_FRAME_PAYLOAD_DATA,
    close_codes.LIMIT_EXCEEDED: CloseReason.MESSAGE_TOO_BIG,
}


class WsprotoExtension(Extension):
    """Passes what wsproto reads to the streams of an extension; ``failure`` says what was wrong with a frame."""

    name = "permessage-deflate"

    def __init__(self, deflate: PerMessageDeflate) -> None:
        self.deflate = deflate
        self.failure: str | None = None
        self._message_compressed = False  # for the message being received
        self._frame_compressed = False  # for the current frame, which may be a control frame within that message

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Check RSV1 (§6); wsproto calls this again if the masking key of the same header arrives later."""
        inflater = self.deflate.inflater
        if opcode.iscontrol() or opcode is Opcode.CONTINUATION:
            if rsv.rsv1:
                return self._fail(protocol_error(f"RSV1 is set on a {opcode.name} frame"))
        else:
            self._message_compressed = rsv.rsv1
            inflater.begin()
        inflater.begin_frame()
        self._frame_compressed = self._message_compressed and not opcode.iscontrol()
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        if not self._frame_compressed:
            return data
        try:
            return self.deflate.inflater.feed(data)
        except Refused as refused:
            return self._fail(refused.failure)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        if not (fin and self._frame_compressed):
            return None
        self._message_compressed = False
        try:
            return self.deflate.inflater.finish()
        except Refused as refused:
            return self._fail(refused.failure)

    def frame_outbound(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        if opcode.iscontrol():
            return rsv, data
        if opcode is not Opcode.CONTINUATION:
            rsv = RsvBits(True, rsv.rsv2, rsv.rsv3)
        return rsv, self.deflate.deflater.deflate(data, fin)

    def _fail(self, failure: Failure) -> CloseReason:
        self.failure = failure.detail
        return CODES[failure.code]
