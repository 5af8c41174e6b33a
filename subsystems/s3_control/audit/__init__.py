"""S3*: looking past what units report, at how a fleet is really set up."""
