/* Frames that wait, each until a time of its own. */
#ifndef TWILL_WAITING_FRAMES_H
#define TWILL_WAITING_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
    int64_t leaves_ns;
    uint64_t number;
    uint32_t length;
    uint8_t bytes[];
};

/* All zero: none. */
struct waiting_frames {
    /* The next to leave comes first. */
    struct frame **heap;
    size_t count;
    size_t capacity;
    size_t bytes;
};

/* Whether one more of that length may wait. */
bool has_room(const struct waiting_frames *w, uint32_t length);
/* False for want of memory: the frame stays the caller's. */
bool put_frame(struct waiting_frames *w, struct frame *f);
/* The next to leave, which stays; NULL when none waits. */
const struct frame *next_frame(const struct waiting_frames *w);
/* The next to leave, which is the caller's from now on. Some must wait. */
struct frame *take_frame(struct waiting_frames *w);

#endif
