"""What TFLiteConverter makes of a Keras model."""
