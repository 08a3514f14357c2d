"""What is said and written: the logger, whole files, the end of a run that is interrupted, pictures of scales."""
