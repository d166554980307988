"""What is known of an artifact, as plain facts."""
