"""What the bytes of each artifact format mean."""
