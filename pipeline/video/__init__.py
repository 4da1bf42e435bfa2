"""Clips in, masks that stand still out: two passes over chunks, with tracks between them."""
