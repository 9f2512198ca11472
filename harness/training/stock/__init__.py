"""TRL's own trainers as they stand, to be compared with: one adapter a trainer.

They read the texts that the matched trainer's tokens were made from, and tokenise, pad, score and
scale for themselves. What they do not decide (the order of pairs, the clock, names of metrics) is ours.
"""
