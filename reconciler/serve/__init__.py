"""What a controller serves to machines: health and metrics over HTTP. It changes nothing, and reveals no secret."""
