/* The figures of /metrics as rows for operators. */
#ifndef STATUS_ROWS_H
#define STATUS_ROWS_H

#include "schema/schema.h"

/* What is left of a text that metrics_write() has made; it is cut up where it stands. */
struct status_lines {
    char *next;
    bool buckets; /* Those of histograms are wanted, too. */
};

/* The next figure; its texts stay the caller's.  False: there is none. */
bool status_rows_next(struct status_lines *self, struct status_row *row);

#endif
