//! Linux in a sandbox that refuses `membarrier`: tollgate then uses `crossbeam-epoch`. One test, since
//! the process chooses the method once.

#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tollgate::{Limiter, ManualClock, Policy};

/// Makes the system refuse `membarrier` to this thread and those that it starts.
fn refuse_membarrier() {
    let op = |code: u32, k: u32, jf: u8| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = [
        // Loads the number of the system call.
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_membarrier as u32, 1),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: changes a flag of this thread.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the filter is valid during the call.
    let set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: accesses no memory.
    assert_eq!(unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) }, -1);
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Guarantees A and F: tables grow, and their replaced arrays are freed, while threads use them.
#[test]
fn tables_work_without_membarrier() {
    refuse_membarrier();
    let policy = Policy::sliding("p", 1_000, Duration::from_secs(600)).buckets(7);
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|thread: u64| {
            let (limiter, is_done) = (&limiter, &is_done);
            scope.spawn(move || {
                let mut admitted = 0;
                while !is_done.load(SeqCst) {
                    let session = limiter.session();
                    admitted += u64::from(session.check(&[id.charge(thread, 1)]).is_allowed());
                }
                admitted
            })
        });
        for key in 10..300_000_u64 {
            assert!(limiter.check(&[id.charge(key, 1)]).is_allowed());
        }
        is_done.store(true, SeqCst);
        for reader in readers {
            assert!(reader.join().unwrap() <= 1_000);
        }
    });
    while !limiter.maintain(100_000) {}
    (0..50).for_each(|_| _ = limiter.maintain(100_000));
    let stats = limiter.stats(id).unwrap();
    assert!(stats.migrations > 10, "{stats:?}");
    // If no array were freed, all arrays together would take three times the memory of the last one.
    let resident = resident();
    assert!(
        resident < 2 * stats.bytes + (20 << 20),
        "{resident} bytes, of them {} in use",
        stats.bytes
    );
}
