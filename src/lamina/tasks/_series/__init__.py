"""What tasks on series share."""
