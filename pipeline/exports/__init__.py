"""Masks in the formats of other tools: written, and read back with what people have corrected in them."""
