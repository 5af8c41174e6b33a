"""Dead man's switches: jobs that say when they run, and alerts when one stays silent or fails."""
