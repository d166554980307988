"""Read what Keras writes of a model: its configuration, and what its variables are for."""
