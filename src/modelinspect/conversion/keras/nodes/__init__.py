"""Keras layers that write the graph nodes that TensorFlow's tracing writes."""
