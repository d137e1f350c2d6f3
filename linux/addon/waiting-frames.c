/* A binary heap: keeping and taking a frame costs the logarithm of how many wait. */
#include "waiting-frames.h"
#include <stdlib.h>

/* What waits at most: 3 s of 20,000 frames a second are 60,000, and as many bytes as 1,500 of each. */
#define MAX_WAITING_FRAMES 262144u
#define MAX_WAITING_BYTES (256u << 20)
#define FIRST_HEAP_FRAMES 1024u

bool has_room(const struct waiting_frames *w, uint32_t length)
{
    return w->count < MAX_WAITING_FRAMES && w->bytes + length <= MAX_WAITING_BYTES;
}

/* Of two that leave at one time, the one that came first goes first. */
static bool is_before(const struct frame *a, const struct frame *b)
{
    return a->leaves_ns != b->leaves_ns ? a->leaves_ns < b->leaves_ns : a->number < b->number;
}

bool put_frame(struct waiting_frames *w, struct frame *f)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity == 0 ? FIRST_HEAP_FRAMES : 2 * w->capacity;
        struct frame **heap = realloc(w->heap, capacity * sizeof *heap);
        if (heap == NULL)
            return false;
        w->heap = heap;
        w->capacity = capacity;
    }
    size_t at = w->count++;
    while (at > 0 && is_before(f, w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = f;
    w->bytes += f->length;
    return true;
}

const struct frame *next_frame(const struct waiting_frames *w)
{
    return w->count == 0 ? NULL : w->heap[0];
}

struct frame *take_frame(struct waiting_frames *w)
{
    struct frame *first = w->heap[0];
    struct frame *last = w->heap[--w->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= w->count)
            break;
        if (child + 1 < w->count && is_before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!is_before(w->heap[child], last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    w->bytes -= first->length;
    return first;
}
