"""What a report shows of pictures."""
