"""Which channels a network can lose without any change of what it computes, and the bytes that go with
them.
"""
