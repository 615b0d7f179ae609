/* Two Rust libraries in one program: both work, and each catches its own panics. */
#include <stdbool.h>
#include <stdio.h>
#include <tollgate.h>

size_t neighbour_letters(void);
bool neighbour_catches(void);

int main(void) {
    tollgate_policy policy = TOLLGATE_POLICY_INIT;
    policy.name = "ip", policy.limit = 1, policy.window_ns = UINT64_C(60000000000);
    tollgate_limiter *limiter;
    uint64_t id;
    if (tollgate_new(NULL, &policy, 1, &limiter, NULL) != TOLLGATE_OK) return 1;
    if (tollgate_policy_at(limiter, 0, &id, NULL) != TOLLGATE_OK) return 2;
    for (int turn = 0; turn < 2; turn++) {
        tollgate_status status = tollgate_check_key(limiter, NULL, id, "a", 1, 1, NULL);
        if (status != (turn == 0 ? TOLLGATE_OK : TOLLGATE_DENIED)) return 3;
        if (neighbour_letters() != 6 || !neighbour_catches()) return 4;
    }
    if (tollgate_free(limiter) != TOLLGATE_OK) return 5;
    puts("two neighbours");
    return 0;
}
