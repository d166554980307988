"""Rules about wasteful content: one file per rule."""
