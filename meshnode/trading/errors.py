"""What can go wrong when an answer is bought.

MeshError
  CommandRejected
    NoOffer                no offer on the book fits the price and the wishes
    NotEnoughRuv           the account has less free money than the bid needs
  InvalidMessage
    InvoiceRefused         an invoice that states what was not delivered
"""

from __future__ import annotations

from dag.errors import MalformedMessage
from meshnode.errors import CommandRejected


class NoOffer(CommandRejected):
    """Nobody offers this for this price; the message names the best that is offered."""

    code = "no_offer"
    retryable = True


class NotEnoughRuv(CommandRejected):
    """The account cannot cover the bid; the message says what it has and what it needs."""

    code = "not_enough_ruv"


class InvoiceRefused(MalformedMessage):
    """The peer that is to be paid states what it has not delivered."""

    code = "invoice_refused"
