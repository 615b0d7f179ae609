//! Sessions: many requests at one time, in the caller's memory.

use crate::argument::aligned;
use crate::clock::tollgate_now;
use crate::guard::guard;
use crate::handle;
use crate::limiter::{LimiterHandle, tollgate_limiter};
use crate::request::session_at;
use crate::status::tollgate_status::{self, *};
use limiter::Session;
use std::mem::ManuallyDrop;

/// The size of a session in 64-bit words, without its time.
pub const TOLLGATE_SESSION_WORDS: usize = 10;

/// A session: many requests at one time, for example in one turn of an event loop. Pass
/// `&session.now` as `now` to the functions: they are faster while the session is open.
///
/// Plain memory of the caller; nothing to free. An open session must stay where it was begun: ending
/// it at another address, for example a copy of it, is an error (`TOLLGATE_E_HANDLE`). Keep it only
/// briefly: memory that a table replaces while the session is open is freed only after the session
/// ends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_session {
    /// The time of this session. Read it, do not write it.
    pub now: tollgate_now,
    /// Internal. Do not write it.
    pub opaque: [u64; TOLLGATE_SESSION_WORDS],
}

/// The content of the caller's memory.
#[repr(C)]
struct Stored {
    now: tollgate_now,
    /// The [`mark`] of the address at which the session was begun.
    mark: u64,
    /// Identifies the thread that began the session.
    thread: usize,
    session: ManuallyDrop<Session<'static>>,
}

/// The mark of an open session at this address. A copy has another address, and so a wrong mark.
fn mark(ptr: *const Stored) -> u64 {
    const MARK: u64 = u64::from_le_bytes(*b"tgsessn1");
    MARK ^ ptr.addr() as u64
}

const _: () = assert!(size_of::<Stored>() <= size_of::<tollgate_session>());
const _: () = assert!(align_of::<Stored>() <= align_of::<tollgate_session>());

thread_local!(static MARKER: u8 = const { 0 });

/// An address that is unique among the live threads.
fn thread() -> usize {
    MARKER.try_with(|marker| std::ptr::from_ref(marker).addr()).unwrap_or(0)
}

/// Begins a session at `now` or, if `now` is NULL, at the current time of the limiter's clock. End it
/// with `tollgate_session_end` on the same thread, before the limiter is freed. Several sessions
/// may be open at once. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_session_begin(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    session: *mut tollgate_session,
) -> tollgate_status {
    guard(|| {
        aligned(session)?;
        // SAFETY: the caller's contract; the limiter outlives the session.
        let handle: &'static LimiterHandle = unsafe { handle::value(limiter) }?;
        // SAFETY: the caller's contract.
        let begun = unsafe { session_at(handle, now) }?;
        let now = begun.now().into();
        let ptr = session.cast::<Stored>();
        let session = ManuallyDrop::new(begun);
        let stored = Stored { now, mark: mark(ptr), thread: thread(), session };
        // SAFETY: the caller's contract; `Stored` is not larger than the caller's struct.
        unsafe { ptr.write(stored) };
        Ok(TOLLGATE_OK)
    })
}

/// Ends a session. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` if the session is not open or was
/// begun at another address, `TOLLGATE_E_THREAD` if another thread has begun it. After
/// `TOLLGATE_E_THREAD` it is still open.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_session_end(session: *mut tollgate_session) -> tollgate_status {
    guard(|| {
        aligned(session)?;
        let ptr = session.cast::<Stored>();
        // SAFETY: the caller's contract; the mark is within the session.
        if unsafe { (&raw const (*ptr).mark).read() } != mark(ptr) {
            return Err(TOLLGATE_E_HANDLE);
        }
        // SAFETY: `tollgate_session_begin` wrote the mark, and the session with it.
        let stored = unsafe { &mut *ptr };
        if stored.thread != thread() {
            return Err(TOLLGATE_E_THREAD);
        }
        stored.mark = 0;
        // SAFETY: open until now, and not used again.
        unsafe { ManuallyDrop::drop(&mut stored.session) };
        Ok(TOLLGATE_OK)
    })
}
