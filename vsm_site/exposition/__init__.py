"""`/metrics`: what is measured, in Prometheus' words, read from the store and the tables when somebody asks."""
