"""The protocol-neutral core: directives, scripts, the catalogue and the statistics; pure."""
