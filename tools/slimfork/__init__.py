"""Keep a patched fork of Ultralytics or YOLOv5 alive across upstream releases."""

__version__ = "0.1.0"
