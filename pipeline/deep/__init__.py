"""PNG and TIFF with more than 8 bits a sample, which Pillow would cut to 8 before their range is known."""
