"""What runs in another process, with the tree under test first on its path; copied there, and hashed as a whole."""
