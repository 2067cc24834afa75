"""Waiting, but not for ever."""

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")

if sys.version_info >= (3, 11):

    async def within(awaited: Awaitable[Result], seconds: float) -> Result:
        """Return what is awaited.

        It costs a fifth of `asyncio.wait_for`, which made a task each time until Python 3.12.

        Raises:
            asyncio.TimeoutError: it does not come in time.
        """
        async with asyncio.timeout(seconds):
            return await awaited

else:
    within = asyncio.wait_for
