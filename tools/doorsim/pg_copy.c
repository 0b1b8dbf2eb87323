#include "tools/doorsim/pg_copy.h"

#include <stdio.h>
#include <string.h>

/* PostgreSQL counts microseconds from 2000-01-01. */
#define EPOCH_2000_S INT64_C(946684800)

static void flush(struct pg_copy *self) {
    if (self->good && self->size > 0) {
        self->good = PQputCopyData(self->connection, self->bytes, (int)self->size) == 1;
    }
    self->size = 0;
}

static void put(struct pg_copy *self, const void *bytes, size_t size) {
    if (self->size + size > sizeof self->bytes) flush(self);
    if (size > sizeof self->bytes) {
        self->good = false;
        return;
    }
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
}

static void put_number(struct pg_copy *self, uint64_t value, size_t size) {
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++) {
        bytes[size - 1 - i] = (unsigned char)(value >> (8 * i));
    }
    put(self, bytes, size);
}

static void put_field(struct pg_copy *self, uint64_t value, size_t size) {
    put_number(self, size, 4);
    put_number(self, value, size);
}

void copy_begin(struct pg_copy *self, PGconn *connection, const char *what) {
    char sql[300];
    self->connection = connection;
    self->size = 0;
    (void)snprintf(sql, sizeof sql, "COPY %s FROM STDIN (FORMAT binary)", what);
    PGresult *result = PQexec(connection, sql);
    self->good = PQresultStatus(result) == PGRES_COPY_IN;
    PQclear(result);
    put(self, "PGCOPY\n\377\r\n\0", 11);
    put_number(self, 0, 8); /* Flags, and the length of an extension. */
}

void copy_row(struct pg_copy *self, int16_t columns) {
    put_number(self, (uint64_t)columns, 2);
}

void copy_int8(struct pg_copy *self, int64_t value) {
    put_field(self, (uint64_t)value, 8);
}

void copy_int4(struct pg_copy *self, int32_t value) {
    put_field(self, (uint64_t)value, 4);
}

void copy_int2(struct pg_copy *self, int16_t value) {
    put_field(self, (uint64_t)value, 2);
}

void copy_bytes(struct pg_copy *self, const void *bytes, size_t size) {
    put_number(self, size, 4);
    put(self, bytes, size);
}

void copy_text(struct pg_copy *self, const char *text) {
    copy_bytes(self, text, strlen(text));
}

void copy_time(struct pg_copy *self, int64_t at_ns) {
    put_field(self, (uint64_t)(at_ns / 1000 - EPOCH_2000_S * 1000000), 8);
}

bool copy_end(struct pg_copy *self, const char *who) {
    put_number(self, 0xffff, 2);
    flush(self);
    if (PQputCopyEnd(self->connection, self->good ? NULL : "given up") != 1) self->good = false;
    PGresult *result;
    while ((result = PQgetResult(self->connection)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK) self->good = false;
        PQclear(result);
    }
    if (!self->good) fprintf(stderr, "%s: %s", who, PQerrorMessage(self->connection));
    return self->good;
}
