"""The forms that TFLiteConverter gives a model: float16, dynamic range, sparse."""
