"""What is said and written: the logger, whole files, the end of a run that is interrupted, plots of scales."""
