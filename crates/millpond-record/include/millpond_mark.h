/* millpond_mark("phase") marks this moment in a recording by `millpond record`, and does nothing in a program that is not
   recorded. There is nothing to link. */
#ifndef millpond_mark
#ifdef __cplusplus
extern "C"
#endif
void millpond_mark(const char *name) __attribute__((weak));
#define millpond_mark(name) (millpond_mark ? millpond_mark(name) : (void)0)
#endif
