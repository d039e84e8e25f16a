"""Errors, schema, tasks, typed configuration, plug-in registry, progress events, atomic files."""
