"""What lives and dies together: channel groups, their counts, whole blocks, masks."""
