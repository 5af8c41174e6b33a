"""What 30 days of alerts say of the rules, and of those who answer."""
