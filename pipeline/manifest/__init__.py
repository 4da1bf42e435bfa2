"""The manifest: what its lines hold, the journal they are kept in, and what can be read out of it."""
