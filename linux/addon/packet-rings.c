/* Packets that the kernel writes into memory it shares. Source: packet(7), linux/if_packet.h, Documentation/networking/packet_mmap.rst. */
#include "native.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const napi_type_tag RING_TAG = {0x2c5fa9b7306e41d8, 0xd17483c0ef526b9a};

/* A slot holds one packet behind its headers, as far as there is room. */
#define SLOT_BYTES 512u
#define BLOCK_BYTES 65536u
#define SLOTS_PER_BLOCK (BLOCK_BYTES / SLOT_BYTES)
#define MAX_BLOCKS 4096u
/* Of the ring this part is left to the kernel, for what comes before the next call. */
#define FREE_PART 4u

/*
 * Memory that the kernel writes every packet of a namespace into, slot by slot. It writes only where
 * a slot was given back, and what lies in one stays readable until then: so the oldest are given
 * back as late as possible, and the rest is the record of the last moments.
 */
struct packet_ring {
    int fd;
    uint8_t *memory;
    uint32_t slots;
    /* The oldest that is kept, and how many are. */
    uint32_t oldest;
    uint32_t kept;
    /* Since the ring was opened; the kernel forgets its own count when asked. */
    uint32_t lost;
};

/* What comes before each packet for JavaScript. */
struct packet_head {
    uint32_t seconds;
    uint32_t nanoseconds;
    uint32_t link;
    uint32_t type;
    uint32_t length;
    uint32_t captured;
};

static struct tpacket2_hdr *slot_at(const struct packet_ring *r, uint32_t index)
{
    return (struct tpacket2_hdr *)(r->memory + (size_t)(index % r->slots) * SLOT_BYTES);
}

static void advance_ring(struct packet_ring *r)
{
    while (r->kept < r->slots &&
           (__atomic_load_n(&slot_at(r, r->oldest + r->kept)->tp_status, __ATOMIC_ACQUIRE) &
            TP_STATUS_USER))
        r->kept++;
    while (r->kept > r->slots - r->slots / FREE_PART) {
        __atomic_store_n(&slot_at(r, r->oldest)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        r->oldest = (r->oldest + 1) % r->slots;
        r->kept--;
    }
}

static void count_lost(struct packet_ring *r)
{
    struct tpacket_stats statistics;
    socklen_t size = sizeof statistics;
    if (getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
        r->lost += statistics.tp_drops;
}

static bool keep_packet(const struct packet_ring *r, uint32_t index, struct bytes *into)
{
    const struct tpacket2_hdr *slot = slot_at(r, index);
    const struct sockaddr_ll *from =
        (const struct sockaddr_ll *)((const uint8_t *)slot + TPACKET_ALIGN(sizeof *slot));
    struct packet_head head = {
        .seconds = slot->tp_sec,
        .nanoseconds = slot->tp_nsec,
        .link = (uint32_t)from->sll_ifindex,
        .type = from->sll_pkttype,
        .length = slot->tp_len,
        .captured = slot->tp_snaplen,
    };
    if (!reserve(into, sizeof head + head.captured))
        return false;
    memcpy(into->data + into->length, &head, sizeof head);
    memcpy(into->data + into->length + sizeof head, (const uint8_t *)slot + slot->tp_mac,
           head.captured);
    into->length += sizeof head + head.captured;
    return true;
}

/* An errno, or 0. The socket takes packets only when it is bound: none comes before the ring is there. */
static int map_ring(struct packet_ring *r, uint32_t blocks)
{
    int version = TPACKET_V2;
    struct tpacket_req wanted = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = blocks,
        .tp_frame_size = SLOT_BYTES,
        .tp_frame_nr = blocks * SLOTS_PER_BLOCK,
    };
    if (setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &wanted, sizeof wanted) < 0)
        return errno;
    void *memory = mmap(NULL, (size_t)blocks * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (memory == MAP_FAILED)
        return errno;
    r->memory = memory;
    r->slots = wanted.tp_frame_nr;
    /* A program that is started has no use for it, and the kernel would copy its thousands of page table entries first. */
    if (madvise(memory, (size_t)blocks * BLOCK_BYTES, MADV_DONTFORK) < 0)
        return errno;
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    return bind(r->fd, (struct sockaddr *)&all, sizeof all) < 0 ? errno : 0;
}

static void close_ring(struct packet_ring *r)
{
    if (r->memory != NULL)
        munmap(r->memory, (size_t)r->slots * SLOT_BYTES);
    if (r->fd >= 0)
        close(r->fd);
    r->memory = NULL;
    r->fd = -1;
}

static void finalize_ring(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    close_ring(data);
    free(data);
}

napi_value js_open_packet_ring(napi_env env, napi_callback_info info)
{
    napi_value value[2];
    struct socket_wish wish = {.family = AF_PACKET};
    uint32_t blocks;
    if (!arguments(env, info, 2, value) ||
        !read_path(env, value[0], wish.namespace, &wish.enter) ||
        napi_get_value_uint32(env, value[1], &blocks) != napi_ok || blocks == 0 ||
        blocks > MAX_BLOCKS)
        return misuse(env);
    int fd = open_where_wished(&wish);
    if (fd < 0)
        return number(env, -fd);
    struct packet_ring *r = calloc(1, sizeof *r);
    if (r == NULL) {
        close(fd);
        return number(env, ENOMEM);
    }
    r->fd = fd;
    int error = map_ring(r, blocks);
    napi_value handle = error == 0 ? wrap(env, r, &RING_TAG, finalize_ring) : number(env, error);
    if (error != 0 || handle == NULL)
        finalize_ring(env, r, NULL);
    return handle;
}

/* The ring that was given, if it is open. */
static struct packet_ring *ring_argument(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    struct packet_ring *r;
    if (!arguments(env, info, 1, value) || (r = unwrap(env, value[0], &RING_TAG)) == NULL)
        return NULL;
    return r;
}

napi_value js_advance_packet_ring(napi_env env, napi_callback_info info)
{
    struct packet_ring *r = ring_argument(env, info);
    if (r == NULL || r->memory == NULL)
        return misuse(env);
    advance_ring(r);
    return undefined(env);
}

napi_value js_read_packet_ring(napi_env env, napi_callback_info info)
{
    struct packet_ring *r = ring_argument(env, info);
    if (r == NULL || r->memory == NULL)
        return misuse(env);
    advance_ring(r);
    count_lost(r);
    struct bytes packets = {0};
    bool complete = true;
    for (uint32_t i = 0; complete && i < r->kept; i++)
        complete = keep_packet(r, r->oldest + i, &packets);
    napi_value result, lost, bytes = complete ? to_buffer(env, &packets) : NULL;
    release(&packets);
    if (bytes == NULL || napi_create_object(env, &result) != napi_ok ||
        napi_create_uint32(env, r->lost, &lost) != napi_ok ||
        napi_set_named_property(env, result, "bytes", bytes) != napi_ok ||
        napi_set_named_property(env, result, "lost", lost) != napi_ok)
        return number(env, ENOMEM);
    return result;
}

napi_value js_close_packet_ring(napi_env env, napi_callback_info info)
{
    struct packet_ring *r = ring_argument(env, info);
    if (r == NULL)
        return misuse(env);
    close_ring(r);
    return undefined(env);
}
