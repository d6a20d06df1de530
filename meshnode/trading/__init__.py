"""Questions that are paid for: bids, contracts, receipts and settlements around the serving of answers.

`purchase` says what to bid, `buying` does so and asks; `selling` takes contracts and meters answers;
`settling` says what either side has to tell the market next, `room` tells it.
"""
