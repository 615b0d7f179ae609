/* Keys: each kind, and which keys are equal. */
#include "fixture.h"

static tollgate_limiter *limiter;
static uint64_t policy;

/* Returns whether two keys share a counter. */
static int same_key(tollgate_charge one, tollgate_charge other) {
    tollgate_now now = at(0);
    int same;
    one.cost = 1;
    STATUS(TOLLGATE_OK, tollgate_reset_key(limiter, &now, &one));
    STATUS(TOLLGATE_OK, tollgate_reset_key(limiter, &now, &other));
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &one, 1, NULL));
    same = left(limiter, 0, other) == 99;
    CHECK(same || left(limiter, 0, other) == 100);
    STATUS(TOLLGATE_OK, tollgate_reset_key(limiter, &now, &one));
    return same;
}

/* Returns the status of a peek at the charge. */
static tollgate_status peeked(tollgate_charge charge) {
    tollgate_now now = at(0);
    return tollgate_peek(limiter, &now, &charge, 1, NULL);
}

static tollgate_charge bytes(const void *key, size_t size) {
    return tollgate_charge_bytes(policy, key, size, 1);
}

/* An IPv6 address that counts by its first `prefix` bits; 0 means 64. */
static tollgate_charge ipv6(const unsigned char *address, uint64_t prefix) {
    tollgate_charge charge = tollgate_charge_ipv6(policy, address, 1);
    charge.number = prefix;
    return charge;
}

static void keys_of_bytes_differ_by_length_and_value(void) {
    static const char text[] = "a\0b";
    char *large = calloc(1, 1 << 20), copy[] = "alice";
    CHECK(large != NULL);
    CHECK(same_key(bytes("alice", 5), bytes(copy, 5)));
    CHECK(!same_key(bytes("alice", 5), bytes("alicf", 5)));
    CHECK(!same_key(bytes(text, 3), bytes(text, 1)));
    CHECK(!same_key(bytes(text, 1), bytes(text, 2)));
    CHECK(same_key(bytes(NULL, 0), bytes(text, 0)));
    CHECK(!same_key(bytes(NULL, 0), bytes("\0", 1)));
    CHECK(!same_key(bytes(large, 1 << 20), bytes(large, (1 << 20) - 1)));
    /* tollgate_check_key has the same keys. */
    {
        tollgate_now now = at(0);
        tollgate_decision decision;
        STATUS(TOLLGATE_OK, tollgate_check_key(limiter, &now, policy, "alice", 5, 1, &decision));
        EQUAL(99, left(limiter, 0, bytes("alice", 5)));
        STATUS(TOLLGATE_OK, tollgate_check_key(limiter, &now, policy, NULL, 0, 1, NULL));
        EQUAL(99, left(limiter, 0, bytes(NULL, 0)));
        STATUS(TOLLGATE_E_NULL, tollgate_check_key(limiter, &now, policy, NULL, 1, 1, NULL));
        STATUS(TOLLGATE_E_ARGUMENT,
               tollgate_check_key(limiter, &now, policy, "k", SIZE_MAX, 1, NULL));
    }
    STATUS(TOLLGATE_E_NULL, peeked(bytes(NULL, 1)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(bytes(text, SIZE_MAX)));
    free(large);
}

/* The same 0, 4, 8 or 16 bytes are different keys under different kinds. */
static void kinds_differ(void) {
    static const unsigned char zeros[16] = {0};
    enum { COUNT = 8 };
    tollgate_charge keys[COUNT];
    size_t i, j;
    keys[0] = bytes(NULL, 0);
    keys[1] = tollgate_charge_number(policy, 0, 1);
    keys[2] = bytes(zeros, 8);
    keys[3] = tollgate_charge_ipv4(policy, zeros, 1);
    keys[4] = tollgate_charge_ipv6(policy, zeros, 1);
    keys[5] = tollgate_charge_shared(policy, 1);
    keys[6] = bytes(zeros, 4);
    keys[7] = bytes(zeros, 16);
    EQUAL(TOLLGATE_KEY_BYTES, keys[0].key_kind);
    EQUAL(TOLLGATE_KEY_NUMBER, keys[1].key_kind);
    EQUAL(TOLLGATE_KEY_IP, keys[3].key_kind);
    EQUAL(TOLLGATE_KEY_SHARED, keys[5].key_kind);
    for (i = 0; i < COUNT; i++) {
        for (j = 0; j < COUNT; j++) {
            EQUAL(i == j, same_key(keys[i], keys[j]));
        }
    }
    CHECK(!same_key(tollgate_charge_number(policy, 1, 1),
                    tollgate_charge_number(policy, UINT64_C(1) << 32 | 1, 1)));
    keys[0].key_kind = TOLLGATE_KEY_SHARED + 1;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(keys[0]));
    keys[0].key_kind = UINT32_MAX;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(keys[0]));
}

static void addresses_count_by_their_network(void) {
    static const unsigned char v4[4] = {192, 0, 2, 1}, v4_next[4] = {192, 0, 2, 2};
    static const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
    unsigned char one[16] = {0x20, 0x01, 0x0d, 0xb8}, other[16];
    unsigned bit;
    tollgate_charge whole = tollgate_charge_ipv4(policy, v4, 1);
    CHECK(!same_key(whole, tollgate_charge_ipv4(policy, v4_next, 1)));
    CHECK(same_key(whole, tollgate_charge_ipv6(policy, mapped, 1)));
    /* IPv4 addresses ignore the prefix. */
    whole.number = 8;
    CHECK(same_key(whole, ipv6(mapped, 64)));
    CHECK(!same_key(whole, tollgate_charge_ipv4(policy, v4_next, 1)));
    /* A bit within the prefix makes a different key, one after it does not. */
    for (bit = 1; bit <= 128; bit++) {
        memcpy(other, one, sizeof other);
        other[(bit - 1) / 8] = (unsigned char)(other[(bit - 1) / 8] ^ 0x80 >> (bit - 1) % 8);
        EQUAL(bit > 64, same_key(ipv6(one, 0), ipv6(other, 0)));
        EQUAL(bit > 48, same_key(ipv6(one, 48), ipv6(other, 48)));
        CHECK(!same_key(ipv6(one, bit), ipv6(other, bit)));
        CHECK(bit == 1 || same_key(ipv6(one, bit - 1), ipv6(other, bit - 1)));
    }
    CHECK(same_key(ipv6(one, 0), ipv6(one, 64)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(ipv6(one, 129)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(ipv6(one, UINT64_MAX)));
}

static void addresses_have_4_or_16_bytes(void) {
    static const unsigned char address[17] = {0};
    size_t size;
    for (size = 0; size <= 17; size++) {
        tollgate_charge charge = tollgate_charge_ipv4(policy, address, 1);
        charge.key_size = size;
        STATUS(size == 4 || size == 16 ? TOLLGATE_OK : TOLLGATE_E_ARGUMENT, peeked(charge));
    }
    STATUS(TOLLGATE_E_NULL, peeked(tollgate_charge_ipv4(policy, NULL, 1)));
}

int main(void) {
    tollgate_policy only = sliding("p", 100, SECOND);
    limiter = limiter_of(&only, 1);
    policy = id_of(limiter, "p");
    keys_of_bytes_differ_by_length_and_value();
    kinds_differ();
    addresses_count_by_their_network();
    addresses_have_4_or_16_bytes();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
