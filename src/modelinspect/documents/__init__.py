"""Markdown documents of others: find the blocks that they mark, and fill them."""
