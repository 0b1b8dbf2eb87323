/* Numbers, links and the directory, before there is a host. */
#include "broker/main/node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/log.h"
#include "config/config.h"

enum { LEASE_MINUTES = 60 };

static const int64_t second = INT64_C(1000000000);

/* Ids of two processes differ by their worker number, which PostgreSQL leases to a holder. */
static bool lease_worker(const struct config *config, const struct seal_keys *keys,
                         struct worker_lease *lease) {
    static char holder[100];
    char node[65] = "";
    struct worker_leased leased;
    enum problem problem;
    gethostname(node, sizeof node - 1);
    snprintf(holder, sizeof holder, "%s %ld %lld", node, (long)getpid(), (long long)clock_now());
    *lease = (struct worker_lease){ .worker = config->node_worker,
                                    .holder = text_of(holder),
                                    .now = clock_now(),
                                    .until = clock_now() + LEASE_MINUTES * 60 * second };
    struct port_setup setup = { .config = config, .keys = keys, .self = PORT_pg_shop };
    if (!host_call(&pg_port, &setup, MSG_worker_lease, lease, MSG_worker_leased, &leased,
                   30 * second, &problem)) {
        log_error("serve", "no worker id", LOG_TEXT("problem", problem_name(problem)), LOG_END);
        return false;
    }
    lease->worker = leased.worker;
    return true;
}

static bool get_number(struct node *self, const struct config *config, const struct seal_keys *keys,
                       const sigset_t *stop) {
    if (self->kind == NODE_member) {
        self->self.node = member_join(config, self->self.name, self->self.run, stop);
        return self->self.node != 0;
    }
    if (!lease_worker(config, keys, &self->lease)) return false;
    self->self.node = (uint16_t)(self->lease.worker + 1);
    return true;
}

bool node_open(struct node *self, enum node_kind kind, const struct config *config,
               const struct seal_keys *keys, const struct host_place *places, uint32_t place_count,
               const sigset_t *stop) {
    memset(self, 0, sizeof *self);
    self->kind = kind;
    placement_init(&self->placement);
    self->self = (struct member_self){ .config = config,
                                       .run = clock_now(),
                                       .own_lease = kind != NODE_member,
                                       .with_broker = kind != NODE_member,
                                       .places = places,
                                       .place_count = place_count };
    if (!member_name(config, self->self.name) || !get_number(self, config, keys, stop))
        return false;
    if (kind != NODE_alone) {
        struct link_setup links = { .config = config,
                                    .name = self->self.name,
                                    .node = self->self.node };
        self->mesh = link_mesh_open(&links);
        if (self->mesh == NULL) return false;
        self->self.mesh = self->mesh;
        self->self.placement = &self->placement;
    }
    member_use(&self->self);
    return true;
}

void node_setup(struct node *self, struct host_setup *setup) {
    if (self->kind != NODE_member) {
        setup->lease = self->lease;
        setup->lease_life = LEASE_MINUTES * 60 * second;
        setup->renew_every = LEASE_MINUTES * 10 * second;
    }
    if (self->kind == NODE_alone) return;
    setup->placement = &self->placement;
    setup->links = &link_links;
    setup->links_context = self->mesh;
}

void node_close(struct node *self) {
    link_mesh_close(self->mesh);
    self->mesh = NULL;
    placement_fini(&self->placement);
}
