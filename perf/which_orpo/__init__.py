"""Which ORPO is it? Losses and gradients of the implementations in use, on identical weights and tokens."""
