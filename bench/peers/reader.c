/* Many cheap receivers in one process: raw sockets, one epoll, no protocol library. Compiled by bench/peers/readers.py;
 * bench/peers/reader.py is the same for machines without a compiler, and a test holds the two against each other.
 *
 *   reader PORT ADDRESS SCRIPT      connects to 127.0.0.1:PORT from 127.0.ADDRESS.2
 *
 * SCRIPT says how a socket subscribes: steps, each of them what is awaited and what is sent, all the same or one after
 * the other. Integers are 32 bits, little endian: steps; for each the length of what is awaited, its bytes, how many
 * there are to be sent, and for each of these its length and bytes.
 *
 * Commands, a line each; a line is the answer:
 *   join COUNT                      connect that many more, and wait until all have had what the last step awaits
 *   take MARKS PAUSE_MS LIMIT_MS    read until every socket has had that many marks; answers the number of sockets, of
 *                                   bytes, and when the first, the median and the last socket had its last mark:
 *                                   nanoseconds of CLOCK_MONOTONIC at which it was in this machine's receiving kernel
 *   show                            the bytes of the last read that held a mark, in hex
 * With a pause nothing is read before it is over, so that receivers do not run beside the server that is measured;
 * without one, whatever comes is read as it comes. Whatever is wrong is said on stderr and ends the process.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEPT 64           /* of what was read before: what is looked for may come in pieces, and is shorter than this */
#define ROOM (256 * 1024) /* bytes a read */
#define AT_A_TIME 64      /* handshakes under way: fewer than any server's backlog */
static const char MARK[] = "\"mark\":";

struct message { uint32_t length; const char *bytes; };
struct step { struct message awaited; uint32_t count; struct message *sent; };
struct one { int fd; uint32_t step, marks, kept; int64_t arrived; char tail[KEPT]; };

static struct step *steps;
static uint32_t step_count;
static struct one *all;
static size_t joined, connected;
static int poller;
static char buffer[KEPT + ROOM], shown[4096];
static size_t shown_length;
static uint64_t bytes;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("reader: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now(clockid_t clock) {
    struct timespec told;
    clock_gettime(clock, &told);
    return told.tv_sec * INT64_C(1000000000) + told.tv_nsec;
}

static uint32_t number(const char **at, const char *end) {
    uint32_t value;
    if (end - *at < 4) fail("the script ends too early");
    memcpy(&value, *at, 4);
    *at += 4;
    return value;
}

static struct message message(const char **at, const char *end) {
    struct message read = {number(at, end), *at};
    if ((size_t)(end - *at) < read.length) fail("the script ends too early");
    *at += read.length;
    return read;
}

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail("cannot read %s", path);
    long length = ftell(file);
    rewind(file);
    char *text = malloc(length + 1);
    if (fread(text, 1, length, file) != (size_t)length) fail("cannot read %s", path);
    fclose(file);
    const char *at = text, *end = text + length;
    step_count = number(&at, end);
    steps = calloc(step_count, sizeof *steps);
    for (uint32_t i = 0; i < step_count; i++) {
        steps[i].awaited = message(&at, end);
        if (steps[i].awaited.length > KEPT) fail("what is awaited has more than %d bytes", KEPT);
        steps[i].count = number(&at, end);
        steps[i].sent = calloc(steps[i].count, sizeof *steps[i].sent);
        for (uint32_t j = 0; j < steps[i].count; j++) steps[i].sent[j] = message(&at, end);
    }
}

/* Send what the socket's step has it send. */
static void say(struct one *one) {
    struct step *step = &steps[one->step];
    struct message *sent = &step->sent[(size_t)(one - all) % step->count];
    if (send(one->fd, sent->bytes, sent->length, MSG_NOSIGNAL) != (ssize_t)sent->length)
        fail("socket %zd cannot send: %s", one - all, strerror(errno));
}

/* Read once; return how much there is in `buffer`, kept and new, or 0 if nothing has come. */
static size_t receive(struct one *one) {
    memcpy(buffer, one->tail, one->kept);
    struct iovec into = {buffer + one->kept, ROOM};
    char told[64];
    struct msghdr header = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = told, .msg_controllen = sizeof told};
    ssize_t got = recvmsg(one->fd, &header, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) fail("socket %zd was closed at step %u of %u: %s", one - all, one->step, step_count, strerror(errno));
    /* The kernel begins to stamp a moment after it was asked to, and what it has in hand by then goes without. */
    one->arrived = now(CLOCK_REALTIME);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(c), sizeof at);
            one->arrived = at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
        }
    bytes += got;
    return one->kept + got;
}

/* Keep the end of what was read, at most `most` bytes. */
static void keep(struct one *one, size_t length, size_t most) {
    one->kept = length < most ? length : most;
    memcpy(one->tail, buffer + length - one->kept, one->kept);
}

static void greet(struct one *one) {
    size_t length = receive(one);
    if (!length) return;
    struct message *awaited = &steps[one->step].awaited;
    if (!memmem(buffer, length, awaited->bytes, awaited->length)) {
        keep(one, length, KEPT);
        return;
    }
    one->kept = 0;
    if (++one->step < step_count) say(one);
    else joined++;
}

static void listen_to(struct one *one) {
    size_t length = receive(one);
    if (!length) return;
    const size_t size = sizeof MARK - 1;
    const char *end = buffer + length;
    uint32_t before = one->marks;
    for (const char *at = buffer; (at = memmem(at, end - at, MARK, size)); at += size) one->marks++;
    if (one->marks != before) {
        shown_length = length < sizeof shown ? length : sizeof shown;
        memcpy(shown, buffer, shown_length);
    }
    keep(one, length, size - 1);
}

static void wait_for_events(int timeout_ms, void (*each)(struct one *)) {
    struct epoll_event events[512];
    int count;
    do {
        count = epoll_wait(poller, events, 512, timeout_ms);
        for (int i = 0; i < count; i++) each(&all[events[i].data.u64]);
        timeout_ms = 0;
    } while (count == 512);
}

static void join(size_t count, int port, int address) {
    int on = 1;
    int64_t began = now(CLOCK_MONOTONIC);
    size_t wanted = connected + count;
    all = realloc(all, wanted * sizeof *all);
    while (joined < wanted) {
        while (connected < wanted && connected - joined < AT_A_TIME) {
            struct one *one = &all[connected];
            memset(one, 0, sizeof *one);
            one->fd = socket(AF_INET, SOCK_STREAM, 0);
            struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
            from.sin_addr.s_addr = htonl(0x7f000002 | address << 8);
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            to.sin_port = htons(port);
            setsockopt(one->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
            setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            setsockopt(one->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
            if (one->fd < 0 || bind(one->fd, (struct sockaddr *)&from, sizeof from) ||
                connect(one->fd, (struct sockaddr *)&to, sizeof to))
                fail("socket %zu cannot connect: %s", connected, strerror(errno));
            struct epoll_event event = {.events = EPOLLIN, .data.u64 = connected};
            epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &event);
            say(one);
            connected++;
        }
        wait_for_events(100, greet);
        if (now(CLOCK_MONOTONIC) - began > INT64_C(60000000000))
            fail("%zu of %zu sockets have not joined within 60 s", wanted - joined, wanted);
    }
    printf("%zu %.6f\n", joined, (now(CLOCK_MONOTONIC) - began) / 1e9);
}

static int rising(const void *one, const void *other) {
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static void take(uint32_t marks, int pause_ms, int limit_ms) {
    struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000L};
    int64_t began = now(CLOCK_MONOTONIC);
    size_t had;
    bytes = 0;
    do {
        if (pause_ms) nanosleep(&pause, NULL);
        wait_for_events(pause_ms ? 0 : 20, listen_to);
        had = 0;
        for (size_t i = 0; i < joined; i++) {
            if (all[i].marks > marks) fail("socket %zu has had %u marks where %u were sent", i, all[i].marks, marks);
            had += all[i].marks == marks;
        }
        if (had < joined && now(CLOCK_MONOTONIC) - began > limit_ms * INT64_C(1000000))
            fail("%zu of %zu sockets have not had %u marks within %d ms", joined - had, joined, marks, limit_ms);
    } while (had < joined);
    int64_t shift = now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
    int64_t *arrived = malloc(joined * sizeof *arrived);
    for (size_t i = 0; i < joined; i++) {
        arrived[i] = all[i].arrived - shift;
        all[i].marks = 0;
    }
    qsort(arrived, joined, sizeof *arrived, rising);
    printf("%zu %lu %ld %ld %ld\n", joined, (unsigned long)bytes, (long)arrived[0], (long)arrived[joined / 2],
           (long)arrived[joined - 1]);
    free(arrived);
}

int main(int count, char **arguments) {
    char line[256];
    size_t sockets;
    uint32_t marks;
    int pause_ms, limit_ms;
    if (count != 4) fail("usage: reader PORT ADDRESS SCRIPT");
    load(arguments[3]);
    poller = epoll_create1(0);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "join %zu", &sockets) == 1) join(sockets, atoi(arguments[1]), atoi(arguments[2]));
        else if (sscanf(line, "take %u %d %d", &marks, &pause_ms, &limit_ms) == 3) take(marks, pause_ms, limit_ms);
        else if (!strcmp(line, "show\n")) {
            for (size_t i = 0; i < shown_length; i++) printf("%02x", (unsigned char)shown[i]);
            putchar('\n');
        } else fail("unknown command: %s", line);
        fflush(stdout);
    }
    return 0;
}
