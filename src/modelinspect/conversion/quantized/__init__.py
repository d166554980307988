"""Models of Keras 3 after `keras.Model.quantize`: the variables of layers, and the configuration."""
