"""What the write-ups have people do by hand, found in a user's tree."""
