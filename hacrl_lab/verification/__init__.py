"""Whether a response answers a problem correctly: where the answer stands, and whether it equals the exact one."""
