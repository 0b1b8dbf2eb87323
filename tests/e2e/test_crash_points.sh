#!/bin/bash
# A few crash points, each died at once; `make crash` takes them all.  The stage is doorsim's own.
cd "$(dirname "$0")/../.." || exit 1
exec "${BUILD:-build/gcc}/doorsim" crash --hits 1 --point redis_read --point pg_committed --point keys_made \
    --point migrate_asking --point link_sent
