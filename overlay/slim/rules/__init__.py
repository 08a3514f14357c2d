"""What each kind of layer and operator does with channels, one table."""
