"""The relay's contact with the world: following the origin, opening segments on time, answering HLS requests."""
