/*
 * Frames that wait between two links: what is sent to a TAP device leaves at another link, each after a time of its own, and some
 * with one bit turned around. Times and bits are a table that JavaScript made; here is nothing of chance.
 * Source: tuntap.rst, packet(7), linux/if_tun.h, linux/if_packet.h, eventfd(2), sendmmsg(2).
 */
#include "native.h"
#include "waiting-frames.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const napi_type_tag LINE_TAG = {0x81e3d60b4c975f2a, 0x3fb8275ce91d04a6};

/* An IPv4 packet of 65,535 bytes, its Ethernet header, and two VLAN tags. */
#define MAX_FRAME_BYTES (65535u + 14u + 8u)
#define ETHERNET_HEADER_BYTES 14u
/* Destination and source come first; the first bit of an address to be sent says that it is a group's. Source: IEEE 802. */
#define ADDRESSES_BYTES 12u
#define SOURCE_OFFSET 6u
#define GROUP_BIT 0x01u
/* In one system call, and so between two looks at the clock. */
#define BATCH_FRAMES 64u
/* What is being sent is not to be lost because nobody had taken what was sent before. */
#define SEND_BUFFER_BYTES (16 << 20)
#define NO_BIT 0xffffffffu

enum line_flags {
    /* Past the queue of the link, and unseen by who captures there. */
    LINE_DIRECT = 1,
    /* The source address becomes that of a group, which none is: who receives the frame knows by this who sent it. */
    LINE_GROUP_SOURCE = 2,
};

/* What becomes of a frame. */
struct fate {
    uint32_t delay_us;
    /* Behind the addresses, modulo how many there are. */
    uint32_t bit;
};

struct line_counts {
    uint64_t received;
    uint64_t sent;
    /* The link was down, or one of its own rules or queues dropped it. */
    uint64_t refused;
    /* Lost by the line itself: no room. */
    uint64_t dropped;
};

struct delay_line {
    int tap;
    int socket;
    int stop;
    pthread_t thread;
    bool running;
    struct sockaddr_ll link;
    uint32_t flags;
    struct fate *fates;
    size_t fate_count;
    struct waiting_frames waiting;
    struct line_counts counts;
    uint8_t received[MAX_FRAME_BYTES];
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/*
 * ARP alone has no checksum: what is wrong in it is believed, and stays wrong long after the line is gone. On a
 * cable that of the frame keeps it out. Source: RFC 826.
 */
static bool is_arp(const struct frame *f)
{
    return f->bytes[ADDRESSES_BYTES] == ETH_P_ARP >> 8 &&
           f->bytes[ADDRESSES_BYTES + 1] == (ETH_P_ARP & 0xff);
}

static void keep_frame(struct delay_line *l, uint32_t length)
{
    uint64_t number = l->counts.received;
    count(&l->counts.received, 1);
    struct frame *f = has_room(&l->waiting, length) ? malloc(sizeof *f + length) : NULL;
    if (f == NULL) {
        count(&l->counts.dropped, 1);
        return;
    }
    const struct fate *fate = &l->fates[number % l->fate_count];
    f->leaves_ns = now_ns() + (int64_t)fate->delay_us * 1000;
    f->number = number;
    f->length = length;
    memcpy(f->bytes, l->received, length);
    if (fate->bit != NO_BIT && !is_arp(f)) {
        uint32_t bit = fate->bit % ((length - ADDRESSES_BYTES) * 8);
        f->bytes[ADDRESSES_BYTES + bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    if ((l->flags & LINE_GROUP_SOURCE) != 0)
        f->bytes[SOURCE_OFFSET] |= GROUP_BIT;
    if (!put_frame(&l->waiting, f)) {
        free(f);
        count(&l->counts.dropped, 1);
    }
}

/* How many frames were there to be read; fewer than asked for when there are no more. */
static size_t receive_frames(struct delay_line *l, size_t most)
{
    size_t frames = 0;
    while (frames < most) {
        ssize_t length = read(l->tap, l->received, sizeof l->received);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            break;
        frames++;
        if ((size_t)length > ETHERNET_HEADER_BYTES)
            keep_frame(l, (uint32_t)length);
    }
    return frames;
}

/* Only want of room is the line's own loss; anything else is what the link does to all who send there. */
static void count_unsent(struct delay_line *l, int error)
{
    bool own = error == EAGAIN || error == ENOMEM;
    count(own ? &l->counts.dropped : &l->counts.refused, 1);
}

static void send_frames(struct delay_line *l, struct frame **frames, unsigned total)
{
    struct mmsghdr messages[BATCH_FRAMES];
    struct iovec parts[BATCH_FRAMES];
    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < total; i++) {
        parts[i] = (struct iovec){.iov_base = frames[i]->bytes, .iov_len = frames[i]->length};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &l->link,
                                              .msg_namelen = sizeof l->link,
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1};
    }
    for (unsigned done = 0; done < total;) {
        int sent = sendmmsg(l->socket, messages + done, total - done, MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) {
            count_unsent(l, errno);
            done++;
            continue;
        }
        count(&l->counts.sent, (uint64_t)sent);
        done += (unsigned)sent;
    }
}

static bool leaves_until(const struct delay_line *l, int64_t until_ns)
{
    const struct frame *next = next_frame(&l->waiting);
    return next != NULL && next->leaves_ns <= until_ns;
}

/* Sends what leaves until then, in its order. */
static void send_until(struct delay_line *l, int64_t until_ns)
{
    while (leaves_until(l, until_ns)) {
        struct frame *batch[BATCH_FRAMES];
        unsigned total = 0;
        while (total < BATCH_FRAMES && leaves_until(l, until_ns))
            batch[total++] = take_frame(&l->waiting);
        send_frames(l, batch, total);
        for (unsigned i = 0; i < total; i++)
            free(batch[i]);
    }
}

static void wait_for_work(struct delay_line *l, struct pollfd looks[2])
{
    struct timespec limit = {0};
    struct timespec *until = NULL;
    const struct frame *next = next_frame(&l->waiting);
    if (next != NULL) {
        int64_t left = next->leaves_ns - now_ns();
        left = left < 0 ? 0 : left;
        limit.tv_sec = left / 1000000000;
        limit.tv_nsec = left % 1000000000;
        until = &limit;
    }
    ppoll(looks, 2, until, NULL);
}

static void *run_line(void *argument)
{
    struct delay_line *l = argument;
    struct pollfd looks[2] = {{.fd = l->stop, .events = POLLIN}, {.fd = l->tap, .events = POLLIN}};
    while ((looks[0].revents & POLLIN) == 0) {
        looks[1].revents = 0;
        wait_for_work(l, looks);
        size_t frames = (looks[1].revents & POLLIN) != 0 ? receive_frames(l, BATCH_FRAMES) : 0;
        /* Somebody took the device away: there is nothing to wait for at it. */
        if (frames == 0 && (looks[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
            looks[1].fd = -1;
        send_until(l, now_ns());
    }
    while (receive_frames(l, BATCH_FRAMES) == BATCH_FRAMES)
        send_until(l, now_ns());
    send_until(l, INT64_MAX);
    return NULL;
}

static void close_line(struct delay_line *l)
{
    if (l->running) {
        uint64_t one = 1;
        while (write(l->stop, &one, sizeof one) < 0 && errno == EINTR)
            ;
        pthread_join(l->thread, NULL);
        l->running = false;
    }
    int *files[] = {&l->tap, &l->socket, &l->stop};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (*files[i] >= 0)
            close(*files[i]);
        *files[i] = -1;
    }
}

static void finalize_line(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    struct delay_line *l = data;
    close_line(l);
    free(l->waiting.heap);
    free(l->fates);
    free(l);
}

/* A TAP device that is there as long as its file is open. An errno, or 0. */
static int open_tap(struct delay_line *l, const char *name)
{
    l->tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (l->tap < 0)
        return errno;
    struct ifreq wish = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    strncpy(wish.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(l->tap, TUNSETIFF, &wish) < 0 ? errno : 0;
}

/* An errno, or 0. */
static int open_sender(struct delay_line *l, struct socket_wish *where, const char *link, uint32_t mark)
{
    l->socket = open_where_wished(where);
    if (l->socket < 0)
        return -l->socket;
    struct ifreq wish = {0};
    strncpy(wish.ifr_name, link, IFNAMSIZ - 1);
    if (ioctl(l->socket, SIOCGIFINDEX, &wish) < 0)
        return errno;
    l->link = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = wish.ifr_ifindex};
    int bytes = SEND_BUFFER_BYTES;
    int direct = 1;
    if (setsockopt(l->socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(l->socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (setsockopt(l->socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
        return errno;
    if ((l->flags & LINE_DIRECT) != 0 &&
        setsockopt(l->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &direct, sizeof direct) < 0)
        return errno;
    return 0;
}

/* An errno, or 0. */
static int start_line(struct delay_line *l)
{
    l->stop = eventfd(0, EFD_CLOEXEC);
    if (l->stop < 0)
        return errno;
    int error = pthread_create(&l->thread, NULL, run_line, l);
    l->running = error == 0;
    return error;
}

static bool read_name(napi_env env, napi_value value, char name[MAX_PATH_BYTES])
{
    bool given;
    return read_path(env, value, name, &given) && given && strlen(name) < IFNAMSIZ;
}

napi_value js_open_delay_line(napi_env env, napi_callback_info info)
{
    napi_value value[6];
    char tap[MAX_PATH_BYTES];
    char link[MAX_PATH_BYTES];
    /* No protocol: such a socket sends, and is given nothing. */
    struct socket_wish where = {.family = AF_PACKET};
    uint32_t mark, flags;
    uint8_t *fates;
    size_t bytes;
    if (!arguments(env, info, 6, value) || !read_name(env, value[0], tap) ||
        !read_name(env, value[1], link) ||
        !read_path(env, value[2], where.namespace, &where.enter) ||
        napi_get_value_uint32(env, value[3], &mark) != napi_ok ||
        napi_get_value_uint32(env, value[4], &flags) != napi_ok ||
        !byte_view(env, value[5], &fates, &bytes) || bytes == 0 ||
        bytes % sizeof(struct fate) != 0)
        return misuse(env);
    struct delay_line *l = calloc(1, sizeof *l);
    if (l == NULL)
        return number(env, ENOMEM);
    l->tap = l->socket = l->stop = -1;
    l->flags = flags;
    l->fate_count = bytes / sizeof(struct fate);
    l->fates = malloc(bytes);
    int error = l->fates == NULL ? ENOMEM : 0;
    if (error == 0) {
        memcpy(l->fates, fates, bytes);
        error = open_sender(l, &where, link, mark);
    }
    if (error == 0)
        error = open_tap(l, tap);
    if (error == 0)
        error = start_line(l);
    napi_value handle = error == 0 ? wrap(env, l, &LINE_TAG, finalize_line) : number(env, error);
    if (error != 0 || handle == NULL)
        finalize_line(env, l, NULL);
    return handle;
}

static struct delay_line *line_argument(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    return arguments(env, info, 1, value) ? unwrap(env, value[0], &LINE_TAG) : NULL;
}

napi_value js_count_delay_line(napi_env env, napi_callback_info info)
{
    struct delay_line *l = line_argument(env, info);
    napi_value result, counter;
    if (l == NULL)
        return misuse(env);
    const struct {
        const char *name;
        uint64_t *counter;
    } counters[] = {
        {"received", &l->counts.received},
        {"sent", &l->counts.sent},
        {"refused", &l->counts.refused},
        {"dropped", &l->counts.dropped},
    };
    if (napi_create_object(env, &result) != napi_ok)
        return NULL;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        uint64_t now = __atomic_load_n(counters[i].counter, __ATOMIC_RELAXED);
        if (napi_create_double(env, (double)now, &counter) != napi_ok ||
            napi_set_named_property(env, result, counters[i].name, counter) != napi_ok)
            return NULL;
    }
    return result;
}

napi_value js_close_delay_line(napi_env env, napi_callback_info info)
{
    struct delay_line *l = line_argument(env, info);
    if (l == NULL)
        return misuse(env);
    close_line(l);
    return undefined(env);
}
