"""One module per command: ``Options`` says what it takes, ``run(options, context)`` does it."""
