/* Allocates before main and after it. */
#include <stdlib.h>

static void *volatile block;

__attribute__((constructor)) static void before(void) { block = malloc(1111); }
__attribute__((destructor)) static void after(void) { free(block); block = malloc(2222); }

int main(void) { return 0; }
