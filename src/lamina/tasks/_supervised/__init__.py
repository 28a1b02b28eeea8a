"""What tasks share that predict one column, each row by itself: a base class for each half, and what these need."""
