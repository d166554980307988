"""Extensions of other programs, each imported by that program only."""
