#include "tests/sim/store_real.h"

void store_real_open(struct world *self) {
    (void)self;
}
void store_real_close(struct world *self) {
    (void)self;
}
void store_real_load(struct world *self) {
    (void)self;
}
void store_real_turn(struct world *self, uint8_t seat) {
    (void)self;
    (void)seat;
}
