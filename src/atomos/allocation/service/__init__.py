"""What allocation does when told something, and what it can be asked."""
