"""What TFLiteConverter makes of a TensorFlow graph."""
