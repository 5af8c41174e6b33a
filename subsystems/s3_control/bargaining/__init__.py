"""The resource bargain of S1 and S3: who asks for how much, what is offered, accepted, held and used."""
