#!/bin/sh
# Compiler wrapper for builds of the mutated tree (scripts/mutated-tree.sh), in which a mutant can be
# switched on. Set it as RUSTC_WORKSPACE_WRAPPER: it compiles only this workspace's crates, so
# dependencies are not rebuilt.
exec "$@" --cfg tollgate_mutants
