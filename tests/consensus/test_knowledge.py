"""What peers are known to have: from their own blocks, and from what they were sent."""

from __future__ import annotations

from consensus.knowledge import Knowledge
from tests.support.lattice import make_block, make_committee, make_store


def make_chain():
    """Two rounds by four authors, each on all of the round below; and a block on the first."""
    low = [make_block(author, 1) for author in range(4)]
    middle = [make_block(author, 2, low) for author in range(4)]
    top = make_block(0, 3, middle)
    store = make_store(make_committee(4), [*low, *middle, top])
    return store, low, middle, top


def test_author_has_everything_below_its_blocks():
    store, low, middle, _ = make_chain()
    knowledge = Knowledge(store)
    knowledge.on_block(middle[2])
    assert all(knowledge.has(2, block.id) for block in (*low, middle[2]))
    assert not knowledge.has(2, middle[1].id)
    assert not knowledge.has(1, low[0].id)


def test_only_what_is_new_below_a_block_is_looked_at():
    store, low, middle, top = make_chain()
    knowledge = Knowledge(store)
    for block in (*low, *middle, top, top):
        knowledge.on_block(block)
    assert all(knowledge.has(0, block.id) for block in (*low, *middle, top))


def test_unknown_history_comes_parents_first_and_bounded():
    store, low, middle, top = make_chain()
    knowledge = Knowledge(store)
    knowledge.on_block(low[3])
    assert knowledge.list_unknown(3, [top], count_max=99) == (*low[:3], *middle, top)
    assert knowledge.list_unknown(3, [top], count_max=4) == (*low[:3], middle[0])


def test_what_was_sent_is_not_sent_again_until_the_connection_ends():
    store, low, middle, top = make_chain()
    knowledge = Knowledge(store)
    knowledge.on_sent(1, knowledge.list_unknown(1, [top], count_max=99))
    knowledge.on_sent(2, [low[0]])
    knowledge.on_block(low[1])
    assert knowledge.list_unknown(1, [top], count_max=99) == ()
    knowledge.on_disconnected(1)
    assert knowledge.list_unknown(1, [top], count_max=99) == (low[0], *low[2:], *middle, top)
    assert knowledge.has(2, low[0].id)


def test_pruned_blocks_are_forgotten():
    store, low, middle, _ = make_chain()
    knowledge = Knowledge(store)
    knowledge.on_block(middle[0])
    knowledge.on_sent(1, [low[0], middle[0]])
    store.prune(1)
    knowledge.prune()
    assert not knowledge.has(0, low[0].id)
    assert not knowledge.has(1, low[0].id)
    assert knowledge.has(0, middle[0].id)
    assert knowledge.has(1, middle[0].id)
    assert knowledge.list_unknown(2, [middle[0]], count_max=9) == (middle[0],)


def test_history_of_a_block_on_pruned_parents_ends_there():
    store, _, middle, _ = make_chain()
    store.prune(1)
    knowledge = Knowledge(store)
    knowledge.on_block(middle[0])
    assert knowledge.has(0, middle[0].id)
