"""The sans-IO core: bytes in, frames out; frames in, bytes out."""
