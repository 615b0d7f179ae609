/* A panic of the library stops at its boundary, and the limiter goes on. */
#include "scene.h"

/* Only in libraries that are built to be tested. */
tollgate_status tollgate_test_panic(void);

int main(void) {
    tollgate_policy policy = sliding("p", 2, SECOND);
    tollgate_limiter *limiter = limiter_of(&policy, 1);
    tollgate_charge charge = tollgate_charge_shared(id_of(limiter, "p"), 1);
    tollgate_now now = at(0);
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    ANSWER(TOLLGATE_E_PANIC, tollgate_test_panic());
    ANSWER(TOLLGATE_E_PANIC, tollgate_test_panic());
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    ANSWER(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, NULL));
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
