//! Many requests at one instant: the clock is read once, and what was replaced meanwhile is kept.

use crate::argument::aligned;
use crate::clock::tollgate_now;
use crate::config::{Server, tollgate_limiter};
use crate::guard::guard;
use crate::handle;
use crate::request::session_at;
use crate::status::tollgate_status::{self, *};
use limiter::Session;
use std::mem::ManuallyDrop;

/// 64-bit numbers that a session takes beside its instant.
pub const TOLLGATE_SESSION_WORDS: usize = 10;

/// A turn of an event loop. Pass `&session.now` to the verbs: they are cheaper while it is open. In
/// memory of the caller's, which must stay where it is; nothing is to be freed. Short-lived: while it
/// is open, memory of tables that were replaced is not freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_session {
    /// The instant of this session. May be read.
    pub now: tollgate_now,
    /// Written by `tollgate_session_begin` and by nobody else.
    pub opaque: [u64; TOLLGATE_SESSION_WORDS],
}

/// What is in the caller's memory.
#[repr(C)]
struct Held {
    now: tollgate_now,
    mark: u64,
    /// Tells threads apart.
    thread: usize,
    session: ManuallyDrop<Session<'static>>,
}

const MARK: u64 = u64::from_le_bytes(*b"tgsessn1");

const _: () = assert!(size_of::<Held>() <= size_of::<tollgate_session>());
const _: () = assert!(align_of::<Held>() <= align_of::<tollgate_session>());

thread_local!(static HERE: u8 = const { 0 });

/// An address that no other living thread has.
fn thread() -> usize {
    HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(0)
}

/// Begins a session at the given instant, or at the clock's if `now` is NULL. It belongs to this
/// thread: end it here, with `tollgate_session_end`, and before the limiter is freed. Several may be
/// open. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_session_begin(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    session: *mut tollgate_session,
) -> tollgate_status {
    guard(|| {
        aligned(session)?;
        // SAFETY: the caller's promise; the limiter outlives the session.
        let server: &'static Server = unsafe { handle::value(limiter) }?;
        // SAFETY: the caller's promise.
        let made = unsafe { session_at(server, now) }?;
        let now = made.now().into();
        let held = Held { now, mark: MARK, thread: thread(), session: ManuallyDrop::new(made) };
        // SAFETY: the caller's promise, and as large as that.
        unsafe { session.cast::<Held>().write(held) };
        Ok(TOLLGATE_OK)
    })
}

/// Ends a session. Errors: `TOLLGATE_E_NULL`; `TOLLGATE_E_HANDLE` if it is not open;
/// `TOLLGATE_E_THREAD` if another thread has begun it, which leaves it open.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_session_end(session: *mut tollgate_session) -> tollgate_status {
    guard(|| {
        aligned(session)?;
        let place = session.cast::<Held>();
        // SAFETY: the caller's promise; the mark lies within.
        if unsafe { (&raw const (*place).mark).read() } != MARK {
            return Err(TOLLGATE_E_HANDLE);
        }
        // SAFETY: what has the mark was written by `tollgate_session_begin`.
        let held = unsafe { &mut *place };
        if held.thread != thread() {
            return Err(TOLLGATE_E_THREAD);
        }
        held.mark = 0;
        // SAFETY: open until now, and not used again.
        unsafe { ManuallyDrop::drop(&mut held.session) };
        Ok(TOLLGATE_OK)
    })
}
