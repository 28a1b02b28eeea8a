"""What tasks share that predict one column, each row by itself."""
