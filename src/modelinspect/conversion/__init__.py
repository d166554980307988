"""Predict the TFLite files that the converter would make of an artifact."""
