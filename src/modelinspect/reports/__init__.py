"""What an analysis found, as data."""
