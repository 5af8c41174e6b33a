"""What becomes of an alert that changed: who is told, together with which others, and what is withheld and why."""
