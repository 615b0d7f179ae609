#include <stdio.h>
#include <tollgate.h>
int main(void) {
    const tollgate_policy user = {.struct_size = sizeof user, .name = "user", .limit = 20,
                                  .window_ns = UINT64_C(60000000000)};
    tollgate_limiter *limiter;
    tollgate_decision decision;
    uint64_t id;
    if (tollgate_new(NULL, &user, 1, &limiter, NULL) != TOLLGATE_OK) return 1;
    if (tollgate_policy_at(limiter, 0, &id, NULL) != TOLLGATE_OK) return 1;
    const tollgate_charge charge = tollgate_charge_text(id, "alice", 1);
    tollgate_status status;
    while ((status = tollgate_check(limiter, NULL, &charge, 1, &decision)) == TOLLGATE_OK) puts("200");
    if (status != TOLLGATE_DENIED) return 1;
    printf("429, Retry-After: %d\n", (int)tollgate_retry_after_seconds(decision.retry_after_ns));
    return tollgate_free(limiter) == TOLLGATE_OK ? 0 : 1;
}
