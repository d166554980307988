"""Structure-aware mutators: each changes what a format's reader decides by, and mends lengths, offsets and
checksums around it.
"""
