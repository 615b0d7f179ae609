//! The layouts of the structs in Rust.

use crate::charge::tollgate_charge;
use crate::clock::{tollgate_clock, tollgate_now};
use crate::config::{tollgate_options, tollgate_policy};
use crate::decision::{tollgate_decision, tollgate_policy_status};
use crate::error::tollgate_error;
use crate::key::tollgate_key;
use crate::reservation::tollgate_reservation;
use crate::session::tollgate_session;
use crate::stats::{tollgate_request_stats, tollgate_stats};
use crate::status::tollgate_status;
use std::ffi::{c_char, c_void};
use std::mem::offset_of;

/// The layout of a struct: size, alignment and fields.
pub(super) struct Layout {
    pub(super) size: usize,
    pub(super) align: usize,
    pub(super) fields: Vec<FieldLayout>,
}

/// The layout of a field, with the C name of its type.
pub(super) struct FieldLayout {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) length: Option<usize>,
    pub(super) offset: usize,
}

/// The C name of a type.
trait CType {
    const KIND: &'static str;
    const LENGTH: Option<usize> = None;
}

macro_rules! c_types {
    ($($rust:ty: $c:literal),* $(,)?) => {
        $(impl CType for $rust {
            const KIND: &'static str = $c;
        })*
    };
}

c_types! {
    u8: "uint8_t",
    u16: "uint16_t",
    u32: "uint32_t",
    u64: "uint64_t",
    i32: "int32_t",
    usize: "size_t",
    c_char: "char",
    *const c_char: "const char *",
    *const c_void: "const void *",
    *const tollgate_clock: "const tollgate_clock *",
    tollgate_now: "tollgate_now",
    tollgate_key: "tollgate_key",
    tollgate_status: "tollgate_status",
}

impl<T: CType, const N: usize> CType for [T; N] {
    const KIND: &'static str = T::KIND;
    const LENGTH: Option<usize> = Some(N);
}

fn field_layout<S, F: CType>(name: &'static str, offset: usize, _: fn(&S) -> &F) -> FieldLayout {
    FieldLayout { name, kind: F::KIND, length: F::LENGTH, offset }
}

macro_rules! layouts {
    ($struct:expr, $($name:ident { $($field:ident),* $(,)? })*) => {
        match $struct {
            $(stringify!($name) => {
                // Compiles only if all fields are listed.
                let _ = |$name { $($field: _),* }: $name| ();
                Layout {
                    size: size_of::<$name>(),
                    align: align_of::<$name>(),
                    fields: vec![$(field_layout(
                        stringify!($field),
                        offset_of!($name, $field),
                        |value: &$name| &value.$field,
                    )),*],
                }
            })*
            other => panic!("{other} is not listed here"),
        }
    };
}

/// The layout of the struct with this name.
pub(super) fn of(name: &str) -> Layout {
    layouts! {
        name,
        tollgate_now { monotonic_ns, unix_ns }
        tollgate_options { struct_size, overflow, allowance, max_keys, clock, seed, max_bytes }
        tollgate_policy {
            struct_size, kind, name, limit, window_ns, period, offset_seconds, max_limit, max_keys,
            buckets, overflow, allowance, unit, max_bytes, flags, reserved,
        }
        tollgate_error { status, reserved, message }
        tollgate_policy_status {
            policy, limit, remaining, retry_after_ns, reset_after_ns, flags, reserved,
        }
        tollgate_key { data, size, number, kind, v4_prefix, v6_prefix, reserved }
        tollgate_charge { policy, key, cost, limit }
        tollgate_decision {
            status, flags, policy, limit, remaining, retry_after_ns, reset_after_ns, reserved,
        }
        tollgate_reservation { opaque }
        tollgate_session { now, opaque }
        tollgate_stats {
            struct_size, reserved, admitted, denied, refused, untracked, live_keys, used_slots,
            slots, bytes, migrations, evictions, forgiven, dry_run_denied, impossible,
            admitted_units, refunded_units,
        }
        tollgate_request_stats {
            struct_size, reserved, allowed, denied, impossible, table_full, invalid,
            open_reservations,
        }
    }
}
