"""Models that were trained elsewhere and come as an ONNX file with a description."""
