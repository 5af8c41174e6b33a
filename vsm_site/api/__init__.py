"""The front door for programs: HTTP in, one verb or one read, JSON out."""
