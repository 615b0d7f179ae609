//! Guarantee H: every kind of call takes at most 16 KiB of the stack in a release build.
//!
//! Each call runs on a stack that was painted before, and the test looks how much paint is left. Without
//! optimization, frames are larger, so the bound is as well.
#![cfg(target_os = "linux")]

mod load;

use load::mix;
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;
use tollgate::{
    Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
};

/// The greatest number of bytes that a call may take.
const MAX: usize = if cfg!(debug_assertions) { 64 << 10 } else { 16 << 10 };
/// Bytes of a painted stack: enough for a call that takes too many.
const STACK: usize = 1 << 18;
const PAINT: u8 = 0xA5;
const SECOND: u64 = 1_000_000_000;

/// A call, and the address at which its stack begins.
struct Job<F> {
    call: Option<F>,
    top: usize,
}

/// The start routine of a thread.
extern "C" fn run<F: FnOnce()>(job: *mut c_void) -> *mut c_void {
    // SAFETY: a pointer to a job of this type, which nothing else uses until the thread has ended.
    let job = unsafe { &mut *job.cast::<Job<F>>() };
    let mark = MaybeUninit::<u8>::uninit();
    job.top = mark.as_ptr().addr();
    run_below(job.call.take().expect("one run"));
    ptr::null_mut()
}

/// Runs `call` in a frame of its own, below that of the caller.
#[inline(never)]
fn run_below(call: impl FnOnce()) {
    call();
    // Not a tail call.
    std::hint::black_box(());
}

/// Runs `call` on a painted stack. Returns the number of bytes that it has used below the frame of
/// its caller.
fn stack_bytes<F: FnOnce() + Send>(call: F) -> usize {
    let layout = Layout::from_size_align(STACK, 4096).expect("a valid layout");
    // SAFETY: the layout is not empty.
    let stack = unsafe { alloc(layout) };
    assert!(!stack.is_null());
    // SAFETY: just allocated.
    unsafe { stack.write_bytes(PAINT, STACK) };
    let mut job = Job { call: Some(call), top: 0 };
    let mut attributes = MaybeUninit::uninit();
    let mut thread = MaybeUninit::uninit();
    // SAFETY: initializes the attributes.
    assert_eq!(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) }, 0);
    // SAFETY: initialized above; the stack is freed after the thread has ended.
    let set = unsafe { libc::pthread_attr_setstack(attributes.as_mut_ptr(), stack.cast(), STACK) };
    assert_eq!(set, 0);
    let argument = (&raw mut job).cast();
    // SAFETY: all pointers are valid until the thread has ended.
    let created = unsafe {
        libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run::<F>, argument)
    };
    assert_eq!(created, 0);
    // SAFETY: created above.
    let thread = unsafe { thread.assume_init() };
    // SAFETY: joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, ptr::null_mut()) }, 0);
    // SAFETY: initialized above.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    // SAFETY: all of it was painted, and the thread has ended.
    let bytes = unsafe { std::slice::from_raw_parts(stack, STACK) };
    let painted = bytes.iter().take_while(|byte| **byte == PAINT).count();
    assert!(painted > 0, "the stack has overflowed");
    let taken = job.top - (stack.addr() + painted);
    // SAFETY: allocated above with this layout.
    unsafe { dealloc(stack, layout) };
    taken
}

/// Asserts that the call takes no more than [`MAX`] bytes of its stack.
fn assert_small(name: &str, call: impl FnOnce() + Send) {
    let taken = stack_bytes(call);
    assert!(taken <= MAX, "{name}: {taken} bytes of the stack");
    println!("{name}: {taken} bytes of the stack");
}

/// The paint shows a large frame.
#[test]
fn large_frames_are_seen() {
    let taken = stack_bytes(|| _ = std::hint::black_box(&mut [1_u8; 100_000]));
    assert!((100_000..200_000).contains(&taken), "{taken}");
}

fn limiter() -> (Limiter, Vec<PolicyId>) {
    let mut builder = Limiter::builder()
        .overflow(Overflow::EvictLightest { allowance: 2 })
        .clock(ManualClock::new())
        .seed([1, 2, 3, 4]);
    let second = Duration::from_secs(1);
    let mut ids: Vec<_> = [7, 15, 31, 63, 127]
        .map(|words| {
            builder
                .add(Policy::sliding(words.to_string(), 5, second).buckets(words).max_keys(3_000))
        })
        .into();
    ids.push(builder.add(Policy::calendar("hour", 5, Period::Hour).max_keys(3_000)));
    (builder.build().unwrap(), ids)
}

/// Tables grow, evict keys, shrink and are freed.
#[test]
fn resizes_take_a_small_stack() {
    let (limiter, ids) = limiter();
    for id in &ids {
        let name = |call: &str| {
            format!("policy {}, {call}", limiter.policies().nth(id.index()).expect("its id").name())
        };
        assert_small(&name("new keys"), || {
            for turn in 0..20_000 {
                let now = Now::from_unix_nanos(SECOND + turn * 1_000_000);
                _ = limiter.check_at(now, &[id.charge(mix(turn) % 8_000, 1)]);
            }
        });
        let now = Now::from_unix_nanos(8_000 * SECOND);
        assert!(limiter.session_at(now).stats(*id).unwrap().migrations > 5);
        assert_small(&name("a shrinking table"), || {
            let session = limiter.session_at(now);
            (0..2_000_u64).for_each(|key| _ = session.check(&[id.charge(key << 32, 1)]));
        });
        assert_small(&name("maintain"), || {
            let session = limiter.session_at(now);
            (0..100).for_each(|_| _ = session.maintain(100));
        });
    }
    assert_small("drop", move || drop(limiter));
}

/// Each operation, under one policy or all of them, with known and with new keys, during moves and
/// between them.
#[test]
fn operations_take_a_small_stack() {
    let (limiter, ids) = limiter();
    let ids: &[PolicyId; 6] = ids.first_chunk().expect("six policies");
    let at = |turn: u64| Now::from_unix_nanos(SECOND + turn * SECOND / 50);
    let charges = |key: u64| ids.map(|id| id.charge(key, 1));
    type Operation<'a> = (&'a str, &'a (dyn Fn(u64, u64) + Sync));
    let operations: [Operation<'_>; 10] = [
        ("check", &|turn, key| _ = limiter.check_at(at(turn), &charges(key))),
        ("peek", &|turn, key| _ = limiter.session_at(at(turn)).peek(&charges(key))),
        ("force_charge", &|turn, key| _ = limiter.session_at(at(turn)).force_charge(&charges(key))),
        ("refund", &|turn, key| _ = limiter.session_at(at(turn)).refund(&charges(key)[0])),
        ("reset_key", &|turn, key| _ = limiter.session_at(at(turn)).reset_key(ids[1], key)),
        ("check_with_status", &|turn, key| {
            let statuses = &mut [PolicyStatus::default(); 6];
            _ = limiter.session_at(at(turn)).check_with_status(&charges(key), statuses);
        }),
        ("check_many", &|turn, key| {
            let decisions = &mut [Decision::default(); 6];
            limiter.session_at(at(turn)).check_many(&charges(key), decisions);
        }),
        ("stats", &|turn, _| _ = limiter.session_at(at(turn)).stats(ids[2])),
        ("maintain", &|turn, _| _ = limiter.session_at(at(turn)).maintain(10)),
        ("a reservation", &|turn, key| {
            let session = limiter.session_at(at(turn));
            if let Ok(mut reservation) = session.reserve(&charges(key)) {
                _ = session.extend(&mut reservation, &[1; 6]);
                assert!(session.settle(&mut reservation, &[1; 6]).is_ok());
            }
        }),
    ];
    let mut most = [0; 10];
    for turn in 0..200_u64 {
        let index = turn as usize % operations.len();
        let (_, operation) = operations[index];
        let taken =
            stack_bytes(|| (turn * 20..turn * 20 + 40).for_each(|key| operation(turn, key)));
        most[index] = most[index].max(taken);
    }
    for ((name, _), taken) in operations.iter().zip(most) {
        println!("{name}: {taken} bytes of the stack");
        assert!(taken <= MAX, "{name}: {taken} bytes of the stack");
    }
}
