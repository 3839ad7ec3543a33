"""Training: settings, optimizer and one loop for a whole population; scores and statuses."""
