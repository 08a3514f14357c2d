"""The user's images, as upstream reads them, and BatchNorm statistics from them."""
