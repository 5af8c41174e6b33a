"""What was done, a row for each time: two rows for one key are a message handled twice."""
