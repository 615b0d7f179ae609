/* Three policies, charged all or nothing: 100 requests a minute for each address, 20 requests a
 * minute and 10,000 tokens a day for each user. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <tollgate.h>

#define MINUTE UINT64_C(60000000000)
enum { IP, USER, TOKENS, POLICIES };

static void must(tollgate_status status, const char *why) {
    if (status == TOLLGATE_OK) return;
    fprintf(stderr, "%s: %s\n", tollgate_strerror(status), why);
    exit(EXIT_FAILURE);
}

int main(void) {
    const uint32_t size = sizeof(tollgate_policy);
    const tollgate_policy policies[POLICIES] = {
        [IP] = {.struct_size = size, .name = "ip", .limit = 100, .window_ns = MINUTE},
        [USER] = {.struct_size = size, .name = "user", .limit = 20, .window_ns = MINUTE},
        [TOKENS] = {.struct_size = size, .name = "tokens", .limit = 10000,
                    .kind = TOLLGATE_CALENDAR, .period = TOLLGATE_DAY},
    };
    tollgate_limiter *limiter;
    tollgate_error error = {0};
    must(tollgate_new(NULL, policies, POLICIES, &limiter, &error), error.message);
    uint64_t id[POLICIES];
    for (size_t i = 0; i < POLICIES; i++) must(tollgate_policy_at(limiter, i, &id[i], NULL), "policy");

    const unsigned char address[4] = {192, 0, 2, 1};
    for (int request = 0; request < 30; request++) {
        const tollgate_charge charges[POLICIES] = {
            tollgate_charge_ipv4(id[IP], address, 1),
            tollgate_charge_text(id[USER], "alice", 1),
            tollgate_charge_text(id[TOKENS], "alice", 512),
        };
        tollgate_decision decision;
        tollgate_status status = tollgate_check(limiter, NULL, charges, POLICIES, &decision);
        if (status == TOLLGATE_DENIED) {
            printf("429, Retry-After: %" PRIu64 "\n", tollgate_retry_after_seconds(decision.retry_after_ns));
        } else {
            must(status, "check");
            printf("200, %" PRIu64 " left\n", decision.remaining);
        }
    }
    must(tollgate_free(limiter), "free");
    return EXIT_SUCCESS;
}
