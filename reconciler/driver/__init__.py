"""Perform the core's effects: the only package in which they meet asyncio, sockets and the clock."""
