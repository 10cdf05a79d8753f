"""Whom we talk to: one folder per service, each an implementation of `ports.Provider`."""
