"""Rules: what is unsafe or wasteful in an artifact, one registry for both."""
