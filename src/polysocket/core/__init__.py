"""The sans-IO core: bytes to frames and frames to bytes, for both sides; it never reads a socket or a clock."""
