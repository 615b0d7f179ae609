/* Keys: each kind, and which keys are equal. */
#include "fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

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

/* A charge to a key, with these prefixes; 0 means the default. */
static tollgate_charge with_prefixes(tollgate_key key, unsigned v4, unsigned v6) {
    key.v4_prefix = (uint8_t)v4;
    key.v6_prefix = (uint8_t)v6;
    return tollgate_charge_key(policy, key, 1);
}

/* An IPv6 address that counts by its first `prefix` bits; 0 means 64. */
static tollgate_charge ipv6(const unsigned char *address, unsigned prefix) {
    return with_prefixes(tollgate_key_ipv6(address), 0, prefix);
}

/* An IPv4 address that counts by its first `prefix` bits; 0 means 32. */
static tollgate_charge ipv4(const unsigned char *address, unsigned prefix) {
    return with_prefixes(tollgate_key_ipv4(address), prefix, 0);
}

static tollgate_charge parts(const tollgate_key *of, size_t count) {
    return tollgate_charge_parts(policy, of, count, 1);
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

static void text_is_the_key_of_its_bytes(void) {
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    CHECK(same_key(tollgate_charge_text(policy, "alice", 1), bytes("alice", 5)));
    CHECK(same_key(tollgate_charge_text(policy, "a\0b", 1), bytes("a", 1)));
    CHECK(same_key(tollgate_charge_text(policy, "", 1), bytes(NULL, 0)));
    CHECK(same_key(tollgate_charge_text(policy, long_text, 1), bytes(long_text, 299)));
    STATUS(TOLLGATE_E_NULL, peeked(tollgate_charge_text(policy, NULL, 1)));
    {
        tollgate_now now = at(0);
        tollgate_charge none = tollgate_charge_text(policy, NULL, 1);
        STATUS(TOLLGATE_E_NULL, tollgate_check(limiter, &now, &none, 1, NULL));
        STATUS(TOLLGATE_E_NULL, tollgate_check_many(limiter, &now, &none, 1, NULL, NULL));
        STATUS(TOLLGATE_E_NULL, tollgate_reset_key(limiter, &now, &none));
        STATUS(TOLLGATE_E_NULL, tollgate_refund(limiter, &now, &none, NULL));
    }
}

/* The same 0, 4, 8 or 16 bytes are different keys under different kinds. */
static void kinds_differ(void) {
    static const unsigned char zeros[16] = {0};
    enum { COUNT = 10 };
    const tollgate_key zero = tollgate_key_number(0);
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
    keys[8] = parts(NULL, 0);
    keys[9] = parts(&zero, 1);
    EQUAL(TOLLGATE_KEY_BYTES, keys[0].key.kind);
    EQUAL(TOLLGATE_KEY_NUMBER, keys[1].key.kind);
    EQUAL(TOLLGATE_KEY_IP, keys[3].key.kind);
    EQUAL(TOLLGATE_KEY_SHARED, keys[5].key.kind);
    EQUAL(TOLLGATE_KEY_PARTS, keys[9].key.kind);
    for (i = 0; i < COUNT; i++) {
        for (j = 0; j < COUNT; j++) {
            EQUAL(i == j, same_key(keys[i], keys[j]));
        }
    }
    CHECK(!same_key(tollgate_charge_number(policy, 1, 1),
                    tollgate_charge_number(policy, UINT64_C(1) << 32 | 1, 1)));
    keys[0].key.kind = TOLLGATE_KEY_PARTS + 1;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(keys[0]));
    keys[0].key.kind = UINT32_MAX;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(keys[0]));
}

static void addresses_count_by_their_network(void) {
    static const unsigned char v4[4] = {192, 0, 2, 1}, v4_next[4] = {192, 0, 2, 2};
    unsigned char one[16] = {0x20, 0x01, 0x0d, 0xb8}, other[16];
    unsigned bit;
    tollgate_charge whole = tollgate_charge_ipv4(policy, v4, 1);
    CHECK(!same_key(whole, tollgate_charge_ipv4(policy, v4_next, 1)));
    CHECK(same_key(whole, ipv4(v4, 0)) && same_key(whole, ipv4(v4, 32)));
    /* A bit within the prefix makes a different key, one after it does not. */
    for (bit = 1; bit <= 32; bit++) {
        memcpy(other, v4, sizeof v4);
        other[(bit - 1) / 8] = (unsigned char)(other[(bit - 1) / 8] ^ 0x80 >> (bit - 1) % 8);
        EQUAL(bit > 24, same_key(ipv4(v4, 24), ipv4(other, 24)));
        CHECK(!same_key(ipv4(v4, bit), ipv4(other, bit)));
        CHECK(bit == 1 || same_key(ipv4(v4, bit - 1), ipv4(other, bit - 1)));
        CHECK(bit == 32 || !same_key(whole, ipv4(v4, bit)));
    }
    for (bit = 1; bit <= 128; bit++) {
        memcpy(other, one, sizeof other);
        other[(bit - 1) / 8] = (unsigned char)(other[(bit - 1) / 8] ^ 0x80 >> (bit - 1) % 8);
        EQUAL(bit > 64, same_key(ipv6(one, 0), ipv6(other, 0)));
        EQUAL(bit > 48, same_key(ipv6(one, 48), ipv6(other, 48)));
        CHECK(!same_key(ipv6(one, bit), ipv6(other, bit)));
        CHECK(bit == 1 || same_key(ipv6(one, bit - 1), ipv6(other, bit - 1)));
    }
    CHECK(same_key(ipv6(one, 0), ipv6(one, 64)));
    /* Only addresses have prefixes. */
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(tollgate_key_text("a"), 24, 0)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(tollgate_key_number(1), 0, 48)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(tollgate_key_shared(), 24, 48)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(tollgate_key_parts(NULL, 0), 24, 0)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(ipv6(one, 129)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(ipv6(one, 255)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(ipv4(v4, 33)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(ipv4(v4, 255)));
    /* Both prefixes must be valid, whatever the address. */
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(tollgate_key_ipv6(one), 33, 64)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(tollgate_key_ipv4(v4), 24, 129)));
}

/* Returns the status of a peek at an address that counts by its network. */
static tollgate_status network(const void *v4, unsigned v4_prefix, unsigned v6_prefix) {
    return peeked(tollgate_charge_key(
        policy, tollgate_key_network(tollgate_key_ipv4(v4), v4_prefix, v6_prefix), 1));
}

static void networks_have_valid_prefixes(void) {
    static const unsigned char v4[4] = {192, 0, 2, 1}, v6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 9, 9, 9};
    tollgate_charge v4_24 = tollgate_charge_key(
        policy, tollgate_key_network(tollgate_key_ipv4(v4), 24, 48), 1);
    tollgate_charge v6_48 = tollgate_charge_key(
        policy, tollgate_key_network(tollgate_key_ipv6(v6), 24, 48), 1);
    CHECK(same_key(v4_24, ipv4(v4, 24)) && same_key(v6_48, ipv6(v6, 48)));
    STATUS(TOLLGATE_OK, network(v4, 1, 1));
    STATUS(TOLLGATE_OK, network(v4, 32, 128));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, 0, 64));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, 33, 64));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, 256, 64));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, 32, 0));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, 32, 129));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, 32, 256));
    STATUS(TOLLGATE_E_ARGUMENT, network(v4, UINT32_MAX, UINT32_MAX));
    STATUS(TOLLGATE_E_ARGUMENT,
           peeked(tollgate_charge_key(
               policy, tollgate_key_network(tollgate_key_text("192.0.2.1"), 24, 48), 1)));
}

/* Some IPv6 addresses stand for an IPv4 address, others only contain one. */
static void some_ipv6_addresses_count_as_ipv4(void) {
    static const struct {
        unsigned char prefix[12];
        int is_v4;
    } forms[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 1},
        {{0}, 1},
        {{0, 0x64, 0xff, 0x9b}, 1},
        {{0, 0x64, 0xff, 0x9b, 0, 1}, 0},
        {{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 1}, 0},
        {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 0},
        {{0, 0, 0, 0, 0, 0, 0, 1}, 0},
        {{0x20, 0x02, 192, 0, 2, 1}, 0},
        {{0x20, 0x01, 0, 0, 192, 0, 2, 1}, 0},
    };
    static const unsigned char v4[4] = {192, 0, 2, 1}, v4_next[4] = {192, 0, 2, 2}, zero[4] = {0};
    unsigned char address[16] = {0};
    size_t i;
    for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        memcpy(address, forms[i].prefix, 12);
        memcpy(address + 12, v4, 4);
        EQUAL(forms[i].is_v4, same_key(ipv6(address, 0), ipv4(v4, 0)));
        EQUAL(forms[i].is_v4, same_key(ipv6(address, 0), ipv6(address, 128)));
        CHECK(!same_key(ipv6(address, 0), ipv4(v4_next, 0)));
    }
    /* `::` and `::1` are IPv6 addresses. */
    memset(address, 0, sizeof address);
    CHECK(!same_key(ipv6(address, 0), ipv4(zero, 0)));
    address[15] = 1;
    CHECK(!same_key(ipv6(address, 0), ipv4(address + 12, 0)));
    address[15] = 2;
    CHECK(same_key(ipv6(address, 0), ipv4(address + 12, 0)));
}

static tollgate_charge socket_address(const void *address, size_t size) {
    return tollgate_charge_sockaddr(policy, address, size, 1);
}

static void addresses_of_sockets_count_without_the_port(void) {
    static const unsigned char bytes4[4] = {192, 0, 2, 1};
    static const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
    unsigned char bytes6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 7, 1}, odd[sizeof(struct sockaddr_in6) + 1];
    struct sockaddr_storage any;
    struct sockaddr_in v4, v4_other_port;
    struct sockaddr_in6 v6, v6_other_port;
    struct sockaddr_un local;
    size_t size;
    memset(&v4, 0, sizeof v4);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(443);
    memcpy(&v4.sin_addr, bytes4, 4);
    v4_other_port = v4;
    v4_other_port.sin_port = htons(61000);
    memset(&v6, 0, sizeof v6);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(443);
    memcpy(&v6.sin6_addr, bytes6, 16);
    v6_other_port = v6;
    v6_other_port.sin6_port = htons(61000);
    v6_other_port.sin6_flowinfo = htonl(5);
    v6_other_port.sin6_scope_id = 9;

    EQUAL(TOLLGATE_KEY_SOCKADDR, socket_address(&v4, sizeof v4).key.kind);
    CHECK(same_key(socket_address(&v4, sizeof v4), ipv4(bytes4, 0)));
    CHECK(same_key(socket_address(&v4, sizeof v4), socket_address(&v4_other_port, sizeof v4)));
    CHECK(same_key(socket_address(&v6, sizeof v6), ipv6(bytes6, 0)));
    CHECK(same_key(socket_address(&v6, sizeof v6), socket_address(&v6_other_port, sizeof v6)));
    CHECK(!same_key(socket_address(&v4, sizeof v4), socket_address(&v6, sizeof v6)));
    /* Prefixes apply. */
    CHECK(same_key(with_prefixes(socket_address(&v4, sizeof v4).key, 24, 0), ipv4(bytes4, 24)));
    CHECK(same_key(with_prefixes(socket_address(&v6, sizeof v6).key, 0, 48), ipv6(bytes6, 48)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(with_prefixes(socket_address(&v4, sizeof v4).key, 33, 0)));
    /* A larger struct, and one that is not aligned. */
    memset(&any, 0xff, sizeof any);
    memcpy(&any, &v4, sizeof v4);
    CHECK(same_key(socket_address(&any, sizeof any), ipv4(bytes4, 0)));
    memcpy(odd + 1, &v6, sizeof v6);
    CHECK(same_key(socket_address(odd + 1, sizeof v6), ipv6(bytes6, 0)));
    memcpy(&v6.sin6_addr, mapped, 16);
    CHECK(same_key(socket_address(&v6, sizeof v6), ipv4(bytes4, 0)));

    /* Too short for the family or the address. */
    for (size = 0; size <= sizeof v6; size++) {
        STATUS(size < 24 ? TOLLGATE_E_ARGUMENT : TOLLGATE_OK, peeked(socket_address(&v6, size)));
        STATUS(size < 8 ? TOLLGATE_E_ARGUMENT : TOLLGATE_OK, peeked(socket_address(&v4, size < 16 ? size : 16)));
    }
    STATUS(TOLLGATE_E_ARGUMENT, peeked(socket_address(&v4, SIZE_MAX)));
    STATUS(TOLLGATE_E_NULL, peeked(socket_address(NULL, sizeof v4)));
    STATUS(TOLLGATE_E_NULL, peeked(socket_address(NULL, 0)));
    /* Other families. */
    memset(&local, 0, sizeof local);
    local.sun_family = AF_UNIX;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(socket_address(&local, sizeof local)));
    v4.sin_family = AF_UNSPEC;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(socket_address(&v4, sizeof v4)));
}

static void parts_count_together(void) {
    static const unsigned char v4[4] = {192, 0, 2, 1};
    struct sockaddr_in peer;
    tollgate_key many[TOLLGATE_MAX_PARTS + 1], one[2], other[2], nested[1];
    tollgate_charge sixteen[16];
    size_t i;
    memset(&peer, 0, sizeof peer);
    peer.sin_family = AF_INET;
    memcpy(&peer.sin_addr, v4, 4);
    one[0] = tollgate_key_text("ab");
    one[1] = tollgate_key_text("c");
    other[0] = tollgate_key_text("a");
    other[1] = tollgate_key_bytes("bc", 2);
    CHECK(same_key(parts(one, 2), parts(one, 2)));
    CHECK(!same_key(parts(one, 2), parts(other, 2)));
    CHECK(!same_key(parts(one, 2), parts(one, 1)) && !same_key(parts(one, 2), bytes("abc", 3)));
    CHECK(!same_key(parts(one, 1), bytes("ab", 2)));
    CHECK(same_key(parts(one, 0), parts(NULL, 0)) && !same_key(parts(NULL, 0), bytes(NULL, 0)));
    /* Each kind can be a part. */
    many[0] = tollgate_key_text("acme");
    many[1] = tollgate_key_number(42);
    many[2] = tollgate_key_ipv4(v4);
    many[3] = tollgate_key_ipv6("sixteen bytes...");
    many[4] = tollgate_key_sockaddr((const struct sockaddr *)(const void *)&peer, sizeof peer);
    many[5] = tollgate_key_network(many[2], 24, 64);
    many[6] = tollgate_key_shared();
    many[7] = many[8] = tollgate_key_number(7);
    for (i = 0; i <= 8; i++) {
        CHECK(i == 8 || !same_key(parts(many, i), parts(many, i + 1)));
        STATUS(TOLLGATE_OK, peeked(parts(many, i)));
    }
    EQUAL(8, TOLLGATE_MAX_PARTS);
    STATUS(TOLLGATE_E_TOO_MANY, peeked(parts(many, 9)));
    STATUS(TOLLGATE_E_TOO_MANY, peeked(parts(many, SIZE_MAX)));
    one[0] = many[2];
    other[0] = many[4];
    other[1] = one[1];
    CHECK(same_key(parts(one, 2), parts(other, 2)));
    /* A request of 16 such keys. */
    for (i = 0; i < 16; i++) {
        sixteen[i] = parts(many, 8);
    }
    {
        tollgate_now now = at(0);
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, sixteen, 16, NULL));
        EQUAL(84, left(limiter, 0, parts(many, 8)));
        STATUS(TOLLGATE_OK, tollgate_reset_key(limiter, &now, sixteen));
    }
    /* No parts of parts, no invalid parts, no pointer that is not one. */
    nested[0] = parts(one, 2).key;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(parts(nested, 1)));
    nested[0] = tollgate_key_parts(nested, 1);
    STATUS(TOLLGATE_E_ARGUMENT, peeked(tollgate_charge_key(policy, nested[0], 1)));
    one[1] = tollgate_key_text(NULL);
    STATUS(TOLLGATE_E_NULL, peeked(parts(one, 2)));
    one[1] = tollgate_key_number(1);
    one[1].reserved = 1;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(parts(one, 2)));
    other[0] = parts(many, 1).key;
    other[0].reserved = 1;
    STATUS(TOLLGATE_E_ARGUMENT, peeked(tollgate_charge_key(policy, other[0], 1)));
    one[1] = tollgate_key_bytes("x", SIZE_MAX);
    STATUS(TOLLGATE_E_ARGUMENT, peeked(parts(one, 2)));
    STATUS(TOLLGATE_E_NULL, peeked(parts(NULL, 1)));
    STATUS(TOLLGATE_E_ARGUMENT, peeked(parts((const void *)((const char *)many + 1), 1)));
}

static void addresses_have_4_or_16_bytes(void) {
    static const unsigned char address[17] = {0};
    size_t size;
    for (size = 0; size <= 17; size++) {
        tollgate_charge charge = tollgate_charge_ipv4(policy, address, 1);
        charge.key.size = size;
        STATUS(size == 4 || size == 16 ? TOLLGATE_OK : TOLLGATE_E_ARGUMENT, peeked(charge));
    }
    STATUS(TOLLGATE_E_NULL, peeked(tollgate_charge_ipv4(policy, NULL, 1)));
}

int main(void) {
    tollgate_policy only = sliding("p", 100, SECOND);
    limiter = limiter_of(&only, 1);
    policy = id_of(limiter, "p");
    keys_of_bytes_differ_by_length_and_value();
    text_is_the_key_of_its_bytes();
    kinds_differ();
    addresses_count_by_their_network();
    addresses_have_4_or_16_bytes();
    networks_have_valid_prefixes();
    some_ipv6_addresses_count_as_ipv4();
    addresses_of_sockets_count_without_the_port();
    parts_count_together();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
