"""Records in, execution results out: router, sampling, jail and hot loop."""
