//! Only benches: `cargo bench`, `cargo bench --bench near`, `cargo bench -- 'hot/session'`.
