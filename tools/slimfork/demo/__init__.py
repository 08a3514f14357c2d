"""The journey of the README on drawn codes."""
