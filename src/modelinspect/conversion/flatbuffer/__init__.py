"""The TFLite file that a converted model makes: its size, and its bytes."""
