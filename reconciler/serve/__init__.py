"""The HTTP server of a controller: health and metrics. It changes nothing, and reveals no secret."""
