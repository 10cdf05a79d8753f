"""What a controller shows to machines: health and metrics over HTTP. It changes nothing, and tells no secret."""
