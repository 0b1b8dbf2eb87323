/* Stories that are kept as texts: what was told is compared with what stands in a file. */
#ifndef STORY_H
#define STORY_H

/* Ends the test where they differ, and shows the first line that does.  With UPDATE_STORIES=1 in
 * the environment the file is written anew before; then it is to be read, and kept only if it is
 * right. */
void story_compare(const char *path, const char *told);

#endif
