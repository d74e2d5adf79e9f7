/* Loads a mail server over many connections from one thread, so that the
 * client is never the bottleneck, and checks every reply.
 *
 *   load smtp|pop3 PORT [key=value ...]
 *
 * Both: connections, operations (messages, or sessions), name and people (u and 3:
 *       u0, u1, u2 in turn), domain.
 * smtp: per_connection (messages; 0: as many as there are), pipelined (0|1),
 *       message (a file with dots already doubled, and ten @ where each
 *       message's number goes)
 * pop3: password, retrieve (messages a mailbox holds; 0: sessions of STAT only),
 *       pipelined (RETRs sent together, 1: one at a time),
 *       least (octets that a message must have)
 *
 * Prints one JSON object.  A wrong reply ends the run with status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 65536, EXPECTED = 256, CONNECTIONS = 4096, SERIAL = 10 };

enum kind { SMTP_REPLY, POP3_LINE, POP3_LINES };

struct expectation {
    enum kind kind;
    char code[4];     /* SMTP: the three digits */
    int ends_one;     /* this reply completes one measured operation */
};

struct connection {
    int fd;
    int phase;               /* what to say next, see the two dialogues */
    int left;                /* messages still to send on this connection */
    long serial;             /* of the message being sent */
    int person;
    char *out;               /* what waits to be sent */
    size_t out_size, out_start, out_end;
    char *in;                /* what arrived and is not yet understood */
    size_t in_size, in_end, in_seen;
    struct expectation expected[EXPECTED];
    int first, count;
    double began[EXPECTED];  /* when the operations in flight began */
    int began_first, began_count;
};

static struct {
    int smtp, port, connections, per_connection, pipelined, people, retrieve, least;
    long operations;
    const char *domain, *name, *password;
    char *message;
    size_t message_size, serial_at;
} plan = { .connections = 1, .pipelined = 0, .people = 1, .name = "u", .domain = "example.org",
           .password = "benchmark" };

static struct connection connections[CONNECTIONS];
static int epoll, open_connections;
static long started, finished;
static double *latencies, first_start, last_end;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(struct connection *c, const char *octets, size_t length)
{
    if (c->out_end + length > c->out_size) {
        c->out_size = 2 * (c->out_end + length);
        c->out = realloc(c->out, c->out_size);
    }
    memcpy(c->out + c->out_end, octets, length);
    c->out_end += length;
}

static void say(struct connection *c, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put(c, line, length);
}

static void expect(struct connection *c, enum kind kind, const char *code, int ends_one)
{
    if (c->count == EXPECTED)
        fail("too many replies expected at once");
    struct expectation *e = &c->expected[(c->first + c->count++) % EXPECTED];
    e->kind = kind;
    e->ends_one = ends_one;
    strcpy(e->code, code);
}

static void begin(struct connection *c)
{
    double t = now();
    if (!first_start)
        first_start = t;
    c->began[(c->began_first + c->began_count++) % EXPECTED] = t;
}

static void end(struct connection *c)
{
    last_end = now();
    latencies[finished++] = last_end - c->began[c->began_first];
    c->began_first = (c->began_first + 1) % EXPECTED;
    c->began_count--;
}

static void connect_to_server(struct connection *c)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(plan.port) };
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&address, sizeof address) < 0)
        fail("connect: %s", strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    c->phase = c->out_start = c->out_end = c->in_end = c->in_seen = 0;
    c->first = c->count = c->began_first = c->began_count = 0;
    expect(c, plan.smtp ? SMTP_REPLY : POP3_LINE, "220", 0);
    open_connections++;
    if (!plan.smtp && !plan.retrieve) {
        c->person = started++ % plan.people;
        begin(c);
    }
}

static void leave(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    open_connections--;
}

/* SMTP: phase 0 greeted, 1 EHLO answered, then one of
 *   one at a time: 2 MAIL, 3 RCPT, 4 DATA, 5 message answered
 *   pipelined: 6 the group answered, 7 message and next group answered
 * and 8 QUIT answered. */

static void mail(struct connection *c)
{
    c->serial = started++;
    begin(c);
    say(c, "MAIL FROM:<sender%ld@example.net>\r\n", c->serial % 1000);
    expect(c, SMTP_REPLY, "250", 0);
}

static void rcpt(struct connection *c)
{
    say(c, "RCPT TO:<%s%ld@%s>\r\n", plan.name, c->serial % plan.people, plan.domain);
    expect(c, SMTP_REPLY, "250", 0);
}

static void data(struct connection *c)
{
    say(c, "DATA\r\n");
    expect(c, SMTP_REPLY, "354", 0);
}

static void message(struct connection *c)
{
    size_t start = c->out_end;
    char serial[SERIAL + 1];
    put(c, plan.message, plan.message_size);
    snprintf(serial, sizeof serial, "%0*ld", SERIAL, c->serial);
    memcpy(c->out + start + plan.serial_at, serial, SERIAL);
    say(c, ".\r\n");
    expect(c, SMTP_REPLY, "250", 1);
}

static void quit(struct connection *c, int phase)
{
    say(c, "QUIT\r\n");
    expect(c, plan.smtp ? SMTP_REPLY : POP3_LINE, "221", 0);
    c->phase = phase;
}

static int more(struct connection *c)
{
    if (started >= plan.operations || (plan.per_connection && !c->left))
        return 0;
    c->left--;
    return 1;
}

static void next_smtp(struct connection *c)
{
    switch (c->phase) {
    case 0:
        say(c, "EHLO client.example.net\r\n");
        expect(c, SMTP_REPLY, "250", 0);
        c->left = plan.per_connection;
        c->phase = 1;
        break;
    case 1:
    case 5:
        if (!more(c)) {
            quit(c, 8);
        } else if (plan.pipelined) {
            mail(c), rcpt(c), data(c);
            c->phase = 6;
        } else {
            mail(c);
            c->phase = 2;
        }
        break;
    case 2:
        rcpt(c);
        c->phase = 3;
        break;
    case 3:
        data(c);
        c->phase = 4;
        break;
    case 4:
        message(c);
        c->phase = 5;
        break;
    case 6:
        message(c);
        if (more(c))
            mail(c), rcpt(c), data(c);
        else
            c->phase = 5;
        break;
    case 8:
        leave(c);
        if (started < plan.operations)
            connect_to_server(c);
        break;
    }
}

/* POP3: phase 0 greeted, 1 USER, 2 PASS, 3 STAT answered, 4 RETRs answered, 5 QUIT answered */

static void next_pop3(struct connection *c)
{
    switch (c->phase) {
    case 0:
        say(c, "USER %s%d@%s\r\n", plan.name, c->person, plan.domain);
        expect(c, POP3_LINE, "", 0);
        c->phase = 1;
        break;
    case 1:
        say(c, "PASS %s\r\n", plan.password);
        expect(c, POP3_LINE, "", 0);
        c->phase = 2;
        break;
    case 2:
        say(c, "STAT\r\n");
        expect(c, POP3_LINE, "", 0);
        c->phase = 3;
        break;
    case 3:
    case 4:
        if (plan.retrieve && started < plan.operations) {
            for (int i = 0; i < plan.pipelined && started < plan.operations; i++) {
                begin(c);
                say(c, "RETR %ld\r\n", started++ % plan.retrieve + 1);
                expect(c, POP3_LINES, "", 1);
            }
            c->phase = 4;
        } else {
            quit(c, 5);
            if (!plan.retrieve)
                c->expected[c->first].ends_one = 1;
        }
        break;
    case 5:
        leave(c);
        if (started < plan.operations)
            connect_to_server(c);
        break;
    }
}

static void flush(struct connection *c)
{
    while (c->out_start < c->out_end) {
        ssize_t sent = send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
            epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
            return;
        }
        if (sent < 0)
            fail("send: %s", strerror(errno));
        c->out_start += sent;
    }
    c->out_start = c->out_end = 0;
}

/* Return the length of the reply that stands first in what arrived, 0 if it is unfinished. */
static size_t reply_length(struct connection *c, struct expectation *e)
{
    if (e->kind == POP3_LINES && c->in_end && *c->in == '+') {
        size_t from = c->in_seen > 4 ? c->in_seen - 4 : 0;
        char *end = memmem(c->in + from, c->in_end - from, "\r\n.\r\n", 5);
        c->in_seen = c->in_end;
        return end ? end + 5 - c->in : 0;
    }
    for (size_t start = 0;;) {
        char *end = memchr(c->in + start, '\n', c->in_end - start);
        if (!end)
            return 0;
        if (e->kind != SMTP_REPLY || c->in[start + 3] != '-')
            return end + 1 - c->in;
        start = end + 1 - c->in;
    }
}

static void check(struct connection *c, struct expectation *e, size_t length)
{
    const char *right = e->kind == SMTP_REPLY ? e->code : "+OK";
    if (strncmp(c->in, right, 3))
        fail("expected %s, got: %.*s", right, (int)(length > 300 ? 300 : length), c->in);
    if (e->kind == POP3_LINES && length < (size_t)plan.least)
        fail("a message of %zu octets, expected at least %d", length, plan.least);
}

static void understand(struct connection *c)
{
    size_t length, used = 0;
    char *whole = c->in;
    size_t whole_end = c->in_end;
    while (c->count && (length = reply_length(c, &c->expected[c->first]))) {
        struct expectation e = c->expected[c->first];
        check(c, &e, length);
        c->first = (c->first + 1) % EXPECTED;
        c->count--;
        used += length;
        c->in += length;
        c->in_end -= length;
        c->in_seen = 0;
        if (e.ends_one)
            end(c);
    }
    if (!c->count && used < whole_end)
        fail("unasked: %.*s", (int)(whole_end - used), whole + used);
    memmove(whole, c->in, c->in_end);
    c->in = whole;
}

static void receive(struct connection *c)
{
    if (c->in_end + PIECE > c->in_size) {
        c->in_size = 2 * (c->in_end + PIECE);
        c->in = realloc(c->in, c->in_size);
    }
    ssize_t got = recv(c->fd, c->in + c->in_end, PIECE, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("connection lost: %s", got ? strerror(errno) : "closed by the server");
    c->in_end += got;
    understand(c);
    if (!c->count)
        (plan.smtp ? next_smtp : next_pop3)(c);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(void)
{
    struct rusage usage;
    double seconds = last_end - first_start;
    getrusage(RUSAGE_SELF, &usage);
    qsort(latencies, finished, sizeof *latencies, by_size);
    printf("{\"operations\": %ld, \"seconds\": %.6f, \"rate\": %.1f, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"client_cpu_us\": %.1f}\n",
           finished, seconds, finished / seconds, latencies[finished / 2] * 1e3,
           latencies[finished * 99 / 100] * 1e3,
           (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 / finished
               + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / finished);
}

static void read_message(const char *path)
{
    static const char mark[] = "@@@@@@@@@@";
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    plan.message = malloc(1 << 26);
    plan.message_size = fread(plan.message, 1, 1 << 26, file);
    fclose(file);
    char *place = memmem(plan.message, plan.message_size, mark, SERIAL);
    if (!place)
        fail("%s: no place for a number (%s)", path, mark);
    plan.serial_at = place - plan.message;
}

static void read_plan(int argc, char **argv)
{
    if (argc < 3)
        fail("usage: load smtp|pop3 PORT [key=value ...]");
    plan.smtp = !strcmp(argv[1], "smtp");
    plan.port = atoi(argv[2]);
    for (int i = 3; i < argc; i++) {
        char *key = argv[i], *value = strchr(key, '=');
        if (!value)
            fail("not key=value: %s", key);
        *value++ = 0;
        if (!strcmp(key, "connections")) plan.connections = atoi(value);
        else if (!strcmp(key, "operations")) plan.operations = atol(value);
        else if (!strcmp(key, "per_connection")) plan.per_connection = atoi(value);
        else if (!strcmp(key, "pipelined")) plan.pipelined = atoi(value);
        else if (!strcmp(key, "people")) plan.people = atoi(value);
        else if (!strcmp(key, "domain")) plan.domain = value;
        else if (!strcmp(key, "name")) plan.name = value;
        else if (!strcmp(key, "password")) plan.password = value;
        else if (!strcmp(key, "retrieve")) plan.retrieve = atoi(value);
        else if (!strcmp(key, "least")) plan.least = atoi(value);
        else if (!strcmp(key, "message")) read_message(value);
        else fail("unknown key: %s", key);
    }
    if (plan.smtp && !plan.message)
        fail("smtp needs message=FILE");
    if (plan.connections > CONNECTIONS || plan.pipelined > EXPECTED)
        fail("too many connections or RETRs at once");
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    read_plan(argc, argv);
    latencies = calloc(plan.operations + 1, sizeof *latencies);
    epoll = epoll_create1(0);
    for (int i = 0; i < plan.connections && i < plan.operations; i++) {
        connections[i].person = i % plan.people;
        connect_to_server(&connections[i]);
    }
    while (open_connections) {
        int ready = epoll_wait(epoll, events, 256, 30000);
        if (!ready)
            fail("the server was silent for 30 s, %ld of %ld done", finished, plan.operations);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0 && events[i].events & ~EPOLLOUT)
                receive(c);
            if (c->fd >= 0) {
                if (events[i].events & EPOLLOUT) {
                    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
                    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
                }
                flush(c);
            }
        }
    }
    report();
    return 0;
}
