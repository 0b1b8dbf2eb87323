#include "tests/sim/draw.h"

uint64_t draw_bits(struct draw *self) {
    uint64_t mixed = self->state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

struct draw draw_make(uint64_t seed, uint64_t stream) {
    struct draw made = { seed };
    made.state = draw_bits(&made) ^ stream * UINT64_C(0xD1342543DE82EF95);
    draw_bits(&made);
    return made;
}

uint32_t draw_below(struct draw *self, uint32_t below) {
    return (uint32_t)((draw_bits(self) >> 32) * below >> 32);
}

int64_t draw_span(struct draw *self, int64_t low, int64_t high) {
    uint64_t width = (uint64_t)(high - low) + 1;
    return low + (int64_t)(draw_bits(self) % width);
}

bool draw_chance(struct draw *self, uint32_t permille) {
    return draw_below(self, 1000) < permille;
}
