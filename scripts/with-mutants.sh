#!/bin/sh
# Compiler wrapper for builds in which a mutant can be switched on (src/verify/mutants/mod.rs). Set it
# as RUSTC_WORKSPACE_WRAPPER: it compiles only this workspace's crates, so dependencies are not
# rebuilt.
exec "$@" --cfg tollgate_mutants
