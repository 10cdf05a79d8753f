"""Effects, performed: the one room in which the core's effects meet asyncio, sockets and the clock."""
