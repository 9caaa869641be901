"""Image operations on planes of bytes, compiled; bit for bit those of Pillow.

Images are C-contiguous arrays of shape (channels, height, width), so that a plane's rows lie one
after the other and the compiler turns the inner loops into vector instructions.
"""
