"""A small compiler from the graph of a bundle to C99 that depends on nothing.

A program is read (``program``: one row, fixed sizes, constants folded), each node is written as C
(``writer`` and ``operators``), buffers are laid over each other (``plan``), and a header says what
goes in, what comes out and what it costs (``document``).
"""
