"""Networks for tables: small, many at once, quick on one thread."""
