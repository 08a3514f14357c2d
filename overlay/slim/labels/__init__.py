"""Which channel a number is of: labels of every element of a tensor, and what views, sizes and products do to them."""
