"""Answer questions from artifacts and measurements."""
