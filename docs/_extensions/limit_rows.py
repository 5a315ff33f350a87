"""The rows of the table of limits: each names the constants that set it. The tests use them without Sphinx."""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """One row: the thing that is limited, its default as the pages write it, and the constants with the reason."""

    of: str
    default: str
    constants: tuple[str, ...]
    option: str = ""


LIMITS = [
    Limit("opening, with redirects", "|open_timeout|", ("DEFAULT_TIMEOUT",), "``open_timeout``"),
    Limit("redirects", "|max_redirects|", ("DEFAULT_MAX_REDIRECTS",), "``follow_redirects``"),
    Limit("header of a server's or proxy's response", "|max_header|", ("MAX_HEADER",)),
    Limit("lines of that header, and of a request's", "|max_header_lines|", ("MAX_HEADER_LINES",)),
    Limit("lines of that header, with all 1xx responses before it", "|max_lines|", ("MAX_LINES",)),
    Limit("body of a rejection", "|max_body|", ("MAX_BODY",)),
    Limit("lines of that body, with those of its chunks", "|max_body_lines|", ("MAX_BODY_LINES",)),
    Limit("time for that body, after the header", "|body_timeout|", ("BODY_TIMEOUT",)),
    Limit(
        "a received message, after inflating",
        "|max_message_size|",
        ("DEFAULT_MAX_MESSAGE_SIZE",),
        "``max_message_size``",
    ),
    Limit("fragments of a message", "|max_fragments|", ("FEWEST_FRAGMENTS",), "``max_message_size``; None lifts it"),
    Limit("received frames that wait in a queue", "|queue_capacity| of payload", ("QUEUE_CAPACITY",)),
    Limit("each frame in that queue counts as", "its payload and |frame_cost|", ("FRAME_COST",)),
    Limit(
        "memory of small frames in that queue, beyond twice their payload",
        "|max_overhead|; the rest waits undecoded",
        ("MAX_OVERHEAD",),
    ),
    Limit("the same, while reading ahead", "|buffer_max_bytes|", ("DEFAULT_MAX_BYTES",), ":doc:`Buffer <buffers>`"),
    Limit("bytes read and not decoded yet, in asyncio", "|read_ahead|", ("push_stream.READ_AHEAD",)),
    Limit("steps of decoding in one turn of an event loop", "|max_steps|", ("MAX_STEPS",)),
    Limit("bytes decoded in one turn, after inflating", "|max_bytes|", ("decoder.MAX_BYTES",)),
    Limit("final deflate blocks in a frame", "|most_final_blocks|", ("MOST_FINAL_BLOCKS",)),
    Limit("sent frames that wait for the network", "|send_capacity|, and one frame", ("SEND_CAPACITY",)),
    Limit("one write of ``send_many``", "|max_batch|, or one message", ("MAX_BATCH",)),
    Limit("payload of a Ping or Pong", "|max_control_payload|", ("MAX_CONTROL_PAYLOAD",)),
    Limit("reason in a Close", "|max_reason|", ("MAX_CONTROL_PAYLOAD",)),
    Limit("closing handshake", "|close_timeout|", ("DEFAULT_TIMEOUT",), "``close_timeout``"),
    Limit(
        "a pipe's stage after the end of its websocket", "|close_timeout|", ("DEFAULT_TIMEOUT",), "``close_timeout``"
    ),
    Limit("a backend's closing, for listeners", "another |close_timeout|", ("DEFAULT_TIMEOUT",), "``close_timeout``"),
]
