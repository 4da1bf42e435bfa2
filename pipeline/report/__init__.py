"""A finished run as one page that can be looked at and mailed."""
