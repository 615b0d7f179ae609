/* A panic inside the library becomes a status, and the limiter works as before. */
#include "fixture.h"

/* Only in builds for tests. */
tollgate_status tollgate_test_panic(void);

int main(void) {
    tollgate_policy policy = sliding("p", 2, SECOND);
    tollgate_limiter *limiter = limiter_of(&policy, 1);
    tollgate_charge charge = tollgate_charge_shared(id_of(limiter, "p"), 1);
    tollgate_now now = at(0);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    STATUS(TOLLGATE_E_PANIC, tollgate_test_panic());
    STATUS(TOLLGATE_E_PANIC, tollgate_test_panic());
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
