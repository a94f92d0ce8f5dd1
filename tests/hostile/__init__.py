"""What a service that is open to a network has to survive."""
