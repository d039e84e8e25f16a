"""Bundles as models of LiteRT (TensorFlow Lite), written without TensorFlow.

The schema of the format comes with ``ai-edge-litert``. Images lie channels last there: layouts are
followed, and arrays are turned only where an operator needs another one.
"""
