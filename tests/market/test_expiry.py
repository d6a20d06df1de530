"""Expiries: in order, only of orders that are alive, and without growing for ever."""

from __future__ import annotations

from market.expiry import SPARE_ENTRIES, ExpiryQueue
from market.orders import OrderId, RestingOrder, Side


def order(id_: int, expires_ms: int, seq: int) -> RestingOrder:
    return RestingOrder(id_, 1, None, Side.BID, 5, 1, 0, seq, expires_ms)


def enter(queue: ExpiryQueue, orders: dict[OrderId, RestingOrder], one: RestingOrder) -> None:
    orders[one.id] = one
    queue.push(one)


def take_all(queue: ExpiryQueue, orders: dict[OrderId, RestingOrder], now_ms: int) -> list[OrderId]:
    taken = []
    while (due := queue.take_due(now_ms)) is not None:
        del orders[due.id]
        taken.append(due.id)
    return taken


def test_due_orders_come_by_expiry_and_then_by_seq():
    orders: dict[OrderId, RestingOrder] = {}
    queue = ExpiryQueue(orders)
    for one in (order(1, 30, 1), order(2, 10, 2), order(3, 20, 4), order(4, 20, 3)):
        enter(queue, orders, one)
    assert queue.find_next() == 10
    assert take_all(queue, orders, 9) == []
    assert take_all(queue, orders, 20) == [2, 4, 3]
    assert queue.find_next() == 30
    assert take_all(queue, orders, 99) == [1]
    assert queue.find_next() is None


def test_orders_that_are_gone_or_came_anew_leave_nothing_behind():
    orders: dict[OrderId, RestingOrder] = {}
    queue = ExpiryQueue(orders)
    gone, moved, twin = order(1, 10, 1), order(2, 10, 2), order(3, 10, 3)
    for one in (gone, moved, twin):
        enter(queue, orders, one)
    del orders[1]
    moved.seq = 9
    queue.push(moved)
    orders[3] = order(3, 50, 10)
    queue.push(orders[3])
    assert take_all(queue, orders, 10) == [2]
    assert queue.find_next() == 50


def test_entries_left_behind_are_swept_out_when_they_are_the_majority():
    orders: dict[OrderId, RestingOrder] = {}
    queue = ExpiryQueue(orders)
    for number in range(10 * SPARE_ENTRIES):
        enter(queue, orders, order(number, 1_000 + number, number + 1))
        if number:
            del orders[number]
        assert len(queue._entries) <= 2 * (len(orders) + 1) + SPARE_ENTRIES
    assert take_all(queue, orders, 10**6) == [0]
