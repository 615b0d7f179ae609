/* An HTTP server with libmicrohttpd and three policies: a request is charged to its address, to its
 * user if it has an x-user field, and under /ai for the tokens of the response.
 *
 *   cc -O2 microhttpd.c $(pkg-config --cflags --libs tollgate libmicrohttpd) -o server
 *   ./server [PORT [REQUESTS-PER-ADDRESS [REQUESTS-PER-USER [TOKENS-PER-DAY [WINDOW-MS]]]]]
 *
 * It prints its address. The default port 0 selects a free port. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tollgate.h>

enum { IP, USER, TOKENS, POLICIES };
enum { TOKENS_PER_RESPONSE = 512 };

typedef struct {
    tollgate_limiter *limiter;
    uint64_t policy[POLICIES];
} server;

static bool make(server *server, const uint64_t limits[POLICIES], uint64_t window_ns) {
    const uint32_t size = sizeof(tollgate_policy);
    const tollgate_policy policies[POLICIES] = {
        [IP] = {.struct_size = size, .name = "ip", .limit = limits[IP], .window_ns = window_ns},
        [USER] = {.struct_size = size, .name = "user", .limit = limits[USER], .window_ns = window_ns},
        [TOKENS] = {.struct_size = size, .name = "tokens", .unit = "tokens",
                    .limit = limits[TOKENS], .kind = TOLLGATE_CALENDAR, .period = TOLLGATE_DAY},
    };
    tollgate_error error;
    if (tollgate_new(NULL, policies, POLICIES, &server->limiter, &error) != TOLLGATE_OK) {
        fprintf(stderr, "%s\n", error.message);
        return false;
    }
    for (size_t i = 0; i < POLICIES; i++) {
        /* Cannot fail: the policy was just created. */
        tollgate_policy_at(server->limiter, i, &server->policy[i], NULL);
    }
    return true;
}

static tollgate_charge charge_address(uint64_t policy, const struct sockaddr *from, uint64_t cost) {
    const size_t size =
        from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    return tollgate_charge_sockaddr(policy, from, size, cost);
}

/* Fills in the charges of a request and returns their number. */
static size_t charges_of(const server *server, const struct sockaddr *from, const char *user,
                         bool uses_ai, tollgate_charge charges[POLICIES]) {
    size_t count = 0;
    charges[count++] = charge_address(server->policy[IP], from, 1);
    if (user) {
        charges[count++] = tollgate_charge_text(server->policy[USER], user, 1);
    }
    if (uses_ai) {
        const uint64_t tokens = server->policy[TOKENS];
        charges[count++] =
            user ? tollgate_charge_text(tokens, user, TOKENS_PER_RESPONSE)
                 : charge_address(tokens, from, TOKENS_PER_RESPONSE);
    }
    return count;
}

static struct MHD_Response *response_of(const char *type, const char *body) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), (void *)body, MHD_RESPMEM_MUST_COPY);
    if (response) MHD_add_response_header(response, "content-type", type);
    return response;
}

/* Checks the request and sends the response. */
static enum MHD_Result respond(const server *server, struct MHD_Connection *connection,
                              const tollgate_charge *charges, size_t count) {
    tollgate_decision decision;
    tollgate_policy_status statuses[POLICIES];
    char text[1024];
    struct MHD_Response *response;
    unsigned status;
    switch (tollgate_check_with_status(server->limiter, NULL, charges, count, &decision, statuses)) {
        case TOLLGATE_OK:
            status = MHD_HTTP_OK;
            response = response_of("text/plain", "welcome\n");
            break;
        case TOLLGATE_DENIED:
        case TOLLGATE_IMPOSSIBLE:
            status = MHD_HTTP_TOO_MANY_REQUESTS;
            tollgate_http_problem(server->limiter, statuses, count, NULL, text, sizeof text, NULL);
            response = response_of("application/problem+json", text);
            if (response && decision.retry_after_ns != TOLLGATE_NEVER) {
                const uint64_t wait = tollgate_retry_after_seconds(decision.retry_after_ns);
                snprintf(text, sizeof text, "%" PRIu64, wait);
                MHD_add_response_header(response, "retry-after", text);
            }
            break;
        default:
            /* The table is full or this server has a bug: no quota was exceeded. */
            status = MHD_HTTP_SERVICE_UNAVAILABLE;
            response = response_of("text/plain", "not now\n");
            count = 0;
    }
    if (!response) return MHD_NO;
    if (count > 0) {
        if (tollgate_http_policy(server->limiter, statuses, count, text, sizeof text, NULL) == TOLLGATE_OK) {
            MHD_add_response_header(response, "ratelimit-policy", text);
        }
        if (tollgate_http_limit(server->limiter, statuses, count, text, sizeof text, NULL) == TOLLGATE_OK) {
            MHD_add_response_header(response, "ratelimit", text);
        }
    }
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request) {
    static int started;
    (void)method, (void)version, (void)upload;
    if (*request != &started || *upload_size > 0) {
        /* The first call has the headers, and later calls have parts of the body, which are ignored.
         * The last call has neither, and is answered below. */
        *request = &started;
        *upload_size = 0;
        return MHD_YES;
    }
    const server *server = context;
    const struct sockaddr *from =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    const char *user = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "x-user");
    tollgate_charge charges[POLICIES];
    size_t count = charges_of(server, from, user, strcmp(path, "/ai") == 0, charges);
    return respond(server, connection, charges, count);
}

/* Parses the optional arguments: port, limits in the order of the policies, window in ms. */
static bool read_numbers(int count, char **arguments, uint64_t numbers[5]) {
    const uint64_t max[5] = {UINT16_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX / 1000000};
    for (int i = 0; i < count; i++) {
        char *end;
        const uint64_t number = strtoull(arguments[i], &end, 10);
        if (i >= 5 || end == arguments[i] || *end != '\0' || number > max[i]) {
            fprintf(stderr, "invalid argument: %s\n", arguments[i]);
            return false;
        }
        numbers[i] = number;
    }
    return true;
}

int main(int count, char **arguments) {
    uint64_t numbers[5] = {0, 100, 20, 10000, 60000};
    if (!read_numbers(count - 1, arguments + 1, numbers)) return EXIT_FAILURE;
    server server;
    if (!make(&server, numbers + 1, numbers[4] * 1000000)) return EXIT_FAILURE;

    /* Block the signals in the server's threads; this thread waits for them below. */
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    const struct sockaddr_in here = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)numbers[0]),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, &server, MHD_OPTION_SOCK_ADDR, &here,
        MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "cannot listen on port %" PRIu64 "\n", numbers[0]);
        tollgate_free(server.limiter);
        return EXIT_FAILURE;
    }
    printf("http://127.0.0.1:%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    int signal;
    sigwait(&stop, &signal);
    MHD_stop_daemon(daemon);
    tollgate_free(server.limiter);
    return EXIT_SUCCESS;
}
