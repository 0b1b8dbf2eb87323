/* A folder that a test made. */
#ifndef FOLDER_H
#define FOLDER_H

/* Removes it with all that is in it, following no links; 0, or -1 and errno. */
int folder_remove(const char *path);

#endif
