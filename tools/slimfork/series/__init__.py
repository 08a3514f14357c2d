"""A fork as a series of mails: exported, made again to the same commit, and compared with what its lock makes."""
