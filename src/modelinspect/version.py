"""Name this version of modelinspect."""

VERSION = "0.1.0"
