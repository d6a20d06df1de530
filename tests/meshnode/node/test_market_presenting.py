"""The market as people read it: receipts, ends of contracts, money on its way."""

from __future__ import annotations

from market.commands import Decline, Dispute, Finalise, Unstake
from market.contracts import ACCEPT_MS, Contract
from market.orders import Side
from meshnode.market_views import ContractInfo
from meshnode.node.market_presenting import MarketPresenter, show_attributes, show_levels
from meshnode.shell.market_table import StoredContract
from tests.support.market_scene import MarketScene, get_account, make_tiers

BUYER, PROVIDER = 4, 5


def make_scene() -> MarketScene:
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(PROVIDER)
    return scene


def present(scene: MarketScene) -> MarketPresenter:
    return MarketPresenter(scene.state, {get_account(BUYER): "ann"})


def show_end(scene: MarketScene, began: Contract) -> ContractInfo:
    """The contract that ended in the last commit, as it is remembered."""
    (ended,) = scene.state.ended
    stored = StoredContract(1, 2, began, scene.time_ms, ended)
    return present(scene).show_stored(stored)


def test_contract_shows_its_receipt_and_who_is_done():
    scene = make_scene()
    contract = scene.deliver()
    receipt = scene.make_receipt(contract, 1, 1_500, final=True)
    scene.say(BUYER, scene.post(receipt))
    shown = present(scene).show_contract(contract)
    assert shown.receipt is not None
    assert (shown.receipt.tokens_billed, shown.receipt.final) == (1_500, True)
    assert shown.cost_uruv == 1_500
    assert (shown.buyer_name, shown.provider_name) == ("ann", get_account(PROVIDER).hex()[:8])
    scene.say(BUYER, Finalise(contract.id))
    again = present(scene).show_stored(StoredContract(1, 2, contract))
    assert (again.buyer_final, again.provider_final, again.detail) == (True, False, "")
    scene.say(PROVIDER, Finalise(contract.id))
    ended = show_end(scene, contract)
    assert (ended.phase, ended.detail, ended.due_ms) == ("settled", "clean", None)
    assert ended.ended_ms == scene.time_ms


def test_ends_that_are_not_clean_say_so():
    scene = make_scene()
    scene.trade()
    began = scene.find_contract()
    scene.say(PROVIDER, Decline(began.id))
    assert show_end(scene, began).detail == "declined"
    scene.trade()
    began = scene.find_contract()
    scene.wait(ACCEPT_MS)
    assert show_end(scene, began).detail == "not accepted in time"
    scene.deliver()
    began = scene.find_contract()
    scene.say(BUYER, Dispute(began.id, "nothing came", bytes(32)))
    live = present(scene).show_contract(began)
    assert (live.phase, live.disputer) == ("disputed", get_account(BUYER).hex())
    assert present(scene).show_wallet(get_account(BUYER)).escrow_uruv == began.escrow + began.bond
    scene.wait(3_600_000)
    assert show_end(scene, began).detail == "disputed"


def test_stake_comes_free_in_order_and_only_the_own_is_shown():
    scene = make_scene()
    for amount in (5, 7):
        scene.say(PROVIDER, Unstake(amount))
    shown = present(scene).show_wallet(get_account(PROVIDER))
    assert [each.amount_uruv for each in shown.unbondings] == [5, 7]
    assert present(scene).show_wallet(get_account(BUYER)).unbondings == ()


def test_orders_of_one_price_and_promise_are_one_level():
    scene = make_scene()
    for lots in (2, 3):
        scene.offer(PROVIDER, 2_000, lots)
    scene.offer(PROVIDER, 2_000, 4, tiers=make_tiers(context=3, sla=3, latency=2))
    (book,) = scene.state.desk.books.values()
    plain, best = show_levels(book.list_resting(Side.OFFER))
    assert (plain.lots, plain.orders) == (5, 2)
    assert (best.lots, best.attributes.context_tokens, best.attributes.sla_bp) == (
        4,
        131_072,
        9_990,
    )
    assert show_attributes(0).first_token_ms == 86_400_000
