"""Open the places where bytes come from."""
