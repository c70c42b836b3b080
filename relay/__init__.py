"""The gated HLS relay: nobody gets a byte without a grant, and nothing before it is released."""
