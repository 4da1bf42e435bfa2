"""Networks by name: the catalogue, getting their files, checking them (``uncrop models``)."""
