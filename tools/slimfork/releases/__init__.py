"""Published releases: pins, fetched, checked by hash, read from an archive or a clone."""
