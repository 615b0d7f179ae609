/* Limiters from policy files in TOML. */
#include "fixture.h"

static const char *const valid =
    "max_keys = 3\n"
    "[[policy]]\nname = \"user\"\nlimit = 2\nmax_limit = 20\nwindow = \"1m\"\nunit = \"tokens\"\n"
    "key = \"user\" # for a replay\n"
    "[[policy]]\nname = \"day\"\nlimit = 5\ncalendar = \"day\"\nmax_keys = 4\n";

/* Creates a limiter with a manual clock from the text. */
static tollgate_limiter *limiter_from(const char *text, size_t length) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter = NULL;
    tollgate_clock *clock = NULL;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock));
    options.clock = clock;
    options.max_keys = 100;
    STATUS(TOLLGATE_OK, tollgate_new_from_toml(&options, text, length, &limiter, NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    return limiter;
}

static void policies_are_in_the_order_of_the_file(void) {
    tollgate_limiter *limiter = limiter_from(valid, strlen(valid));
    const uint64_t user = id_of(limiter, "user"), day = id_of(limiter, "day");
    uint64_t policy, keys;
    const char *name;
    STATUS(TOLLGATE_OK, tollgate_policy_at(limiter, 0, &policy, &name));
    EQUAL(user, policy);
    TEXT("user", name);
    STATUS(TOLLGATE_OK, tollgate_policy_at(limiter, 1, &policy, &name));
    EQUAL(day, policy);
    TEXT("day", name);
    STATUS(TOLLGATE_E_POLICY, tollgate_policy_at(limiter, 2, &policy, &name));
    /* The file has precedence over the options, and a policy over the settings of the file. */
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, user, &keys, NULL));
    EQUAL(3, keys);
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, day, &keys, NULL));
    EQUAL(4, keys);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* The limiter decides as one from structs. */
static void the_limiter_decides(void) {
    tollgate_limiter *limiter = limiter_from(valid, strlen(valid));
    const uint64_t user = id_of(limiter, "user");
    const tollgate_now now = at(SECOND), later = at(61 * SECOND);
    tollgate_decision decision;
    STATUS(TOLLGATE_OK, tollgate_check_key(limiter, &now, user, "alice", 5, 2, &decision));
    EQUAL(2, decision.limit);
    STATUS(TOLLGATE_DENIED, tollgate_check_key(limiter, &now, user, "alice", 5, 1, &decision));
    EQUAL(60 * SECOND, decision.retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_check_key(limiter, &later, user, "alice", 5, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_set_limit(limiter, user, 20, NULL));
    STATUS(TOLLGATE_E_MAX_LIMIT, tollgate_set_limit(limiter, user, 21, NULL));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* Only `length` bytes are read, from memory that ends there. */
static void the_text_needs_no_terminator(void) {
    const size_t length = strlen(valid);
    char *text = malloc(length);
    tollgate_limiter *limiter;
    CHECK(text != NULL);
    memcpy(text, valid, length);
    limiter = limiter_from(text, length);
    /* The text is not kept. */
    memset(text, 'x', length);
    free(text);
    CHECK(id_of(limiter, "day") != 0);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* Checks the status and the message of a text that is not valid. */
static void rejected(const char *text, size_t length, const char *message) {
    tollgate_limiter *limiter = (tollgate_limiter *)&limiter;
    tollgate_error error;
    memset(&error, 'x', sizeof error);
    STATUS(TOLLGATE_E_POLICY_FILE, tollgate_new_from_toml(NULL, text, length, &limiter, &error));
    CHECK(limiter == NULL);
    EQUAL(TOLLGATE_E_POLICY_FILE, error.status);
    EQUAL(0, error.reserved);
    CHECK(memchr(error.message, 0, TOLLGATE_MESSAGE_SIZE) != NULL);
    if (strstr(error.message, message) != error.message) {
        TEXT(message, error.message);
    }
    /* The error may be NULL. */
    STATUS(TOLLGATE_E_POLICY_FILE, tollgate_new_from_toml(NULL, text, length, &limiter, NULL));
}

static void errors_name_the_line_the_policy_and_the_value(void) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "the file has no policy"},
        {"policy = 1\n", "line 1, column 1: \"policy\" must be a list of tables"},
        {"[[policy]\n", "line 1, column 10: "},
        {"x = \"\xff\"\n", "line 1, column 6: the policy file is not UTF-8"},
        {"[[policy]]\nname = 'a'\nlimt = 5\n", "line 3, column 1: policy \"a\": unknown entry \"limt\""},
        {"[[policy]]\nname = 'a'\nlimit = 5\nwindow = '0s'\n",
         "line 4, column 10: policy \"a\": \"window\" is \"0s\""},
        {"[[policy]]\nname = 'a'\nlimit = 5\nwindow = '1s'\nmax_limit = 4\n",
         "line 5, column 13: policy \"a\": max_limit 4 must be from the limit 5"},
        {"[[policy]]\nname = 'a'\nlimit = 5\nwindow = '1s'\n[[policy]]\nname = 'a'\n",
         "line 6, column 1: policy \"a\": \"name\" is already used by the policy in line 1"},
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rejected(cases[i].text, strlen(cases[i].text), cases[i].message);
    }
    /* The text does not end at a NUL. */
    rejected("\0", 1, "line 1, column ");
    rejected(valid, strlen(valid) - 2 - strlen("max_keys = 4\n"), "line 12, column ");
}

/* Long and deeply nested texts are errors. */
static void sizes_are_limited(void) {
    const size_t most = 1 << 20, start = strlen(valid);
    char *text = malloc(most + 1);
    tollgate_limiter *limiter = NULL;
    CHECK(text != NULL);
    memset(text, '[', most + 1);
    rejected(text, most, "line 1, column ");
    memset(text, '#', most + 1);
    memcpy(text, valid, start);
    rejected(text, most + 1, "the policy file has more than 1048576 bytes");
    STATUS(TOLLGATE_OK, tollgate_new_from_toml(NULL, text, most, &limiter, NULL));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    free(text);
}

/* The options are checked as by tollgate_new. */
static void options_are_checked(void) {
    static const char *const text = "[[policy]]\nname = 'a'\nlimit = 5\nwindow = '1s'\n";
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter;
    tollgate_error error;
    options.max_bytes = 1000;
    STATUS(TOLLGATE_E_MAX_BYTES, tollgate_new_from_toml(&options, text, strlen(text), &limiter, &error));
    CHECK(strstr(error.message, "max_bytes 1000 must be at least") != NULL);
    options.overflow = TOLLGATE_OVERFLOW_EVICT_LIGHTEST;
    options.allowance = 6;
    STATUS(TOLLGATE_E_ALLOWANCE, tollgate_new_from_toml(&options, text, strlen(text), &limiter, &error));
    CHECK(strstr(error.message, "policy \"a\": allowance 6") != NULL);
    options.overflow = 4;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new_from_toml(&options, text, strlen(text), &limiter, &error));
    CHECK(strstr(error.message, "options: overflow 4") != NULL);
    options.struct_size = 1;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new_from_toml(&options, text, strlen(text), &limiter, &error));
    CHECK(limiter == NULL);
}

int main(void) {
    policies_are_in_the_order_of_the_file();
    the_limiter_decides();
    the_text_needs_no_terminator();
    errors_name_the_line_the_policy_and_the_value();
    sizes_are_limited();
    options_are_checked();
    return passed();
}
