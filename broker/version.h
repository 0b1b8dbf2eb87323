/* The version of all programs. */
#ifndef BROKER_VERSION_H
#define BROKER_VERSION_H

#define DOORBUSTER_VERSION "0.1.0"

#endif
