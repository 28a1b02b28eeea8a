"""What a report shows of texts."""
