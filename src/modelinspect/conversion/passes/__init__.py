"""The passes that TFLiteConverter runs over a network of operators."""
