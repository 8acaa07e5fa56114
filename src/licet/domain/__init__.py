"""The words: what is true. Standard library and msgspec only; no I/O, no clock."""
