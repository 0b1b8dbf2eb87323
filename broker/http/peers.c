/* How often one client address may ask: token buckets that hold time, as the bridge has for users.
 */
#include <stdlib.h>

#include "broker/http/internal.h"

enum { SECOND = 1000000000 };

struct peer_bucket {
    uint64_t key;
    int64_t filled_at, tokens_ns;
};

bool http_peers_set(struct port *self, const struct config *config) {
    int64_t rate = config->http_rate_peer, burst = config->http_rate_peer_burst;
    self->peer_cost = 0;
    if (rate == 0) return true;
    if (self->peers == NULL) self->peers = calloc(PEERS_MAX, sizeof *self->peers);
    if (self->peers == NULL) return false;
    self->peer_cost = SECOND / rate;
    self->peer_most = self->peer_cost * (burst > rate ? burst : rate);
    return true;
}

bool http_peer_admit(struct connection *it) {
    struct port *self = it->port;
    if (self->peer_cost == 0 || it->admin) return true;
    uint64_t key = it->peer_key;
    struct peer_bucket *bucket =
        &self->peers[(key * UINT64_C(0x9E3779B97F4A7C15) >> 32) % PEERS_MAX];
    if (bucket->key != key || bucket->filled_at == 0) {
        *bucket = (struct peer_bucket){ key, self->mono, self->peer_most };
    }
    bucket->tokens_ns += self->mono - bucket->filled_at;
    if (bucket->tokens_ns > self->peer_most) bucket->tokens_ns = self->peer_most;
    bucket->filled_at = self->mono;
    if (bucket->tokens_ns < self->peer_cost) return false;
    bucket->tokens_ns -= self->peer_cost;
    return true;
}
