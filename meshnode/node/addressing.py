"""A client of OpenAI's SDK for a node inside an application. A part of `NodeHandle`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any

from meshnode.openai_client import OPENAI_PATH, OpenAIDoor, make_openai_client

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from openai import AsyncOpenAI


class OpenAIMethods(ABC):
    """The node as a base URL."""

    _gateway: Any = None

    @abstractmethod
    def _get_stack(self) -> AsyncExitStack:
        """What ends with the node. Raises `NodeClosed`."""

    def openai(self) -> AsyncOpenAI:
        """A client of OpenAI's SDK that asks this node; close it like any other.

        The first call opens a port of this machine, which is closed with the node. Raises
        `ConfigError` where the package `openai` is not installed.
        """
        return make_openai_client(self.open_openai_door())

    def open_openai_door(self) -> OpenAIDoor:
        """Where programs made for OpenAI's interface find this node from now on."""
        stack = self._get_stack()
        if self._gateway is None:
            # The HTTP interface stands above the node and knows it, not the other way round: it is
            # found by name, by those who want it.
            self._gateway = import_module("meshnode.gateway.private").PrivateGateway(self)
            stack.push_async_callback(self._gateway.close)
        return OpenAIDoor(f"{self._gateway.url}{OPENAI_PATH}", self._gateway.token)
