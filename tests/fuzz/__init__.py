"""Fuzzing: one target for each family of work that modelinspect does on bytes of strangers; see README.md."""
