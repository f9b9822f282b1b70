// Allocates blocks with `new` and with `malloc`.
#include <cstdlib>

int main() {
    for (int at = 0; at < 20000; at++) {
        char *volatile one = new char[32];
        *one = 1;
        delete[] one;
        char *volatile other = static_cast<char *>(std::malloc(40));
        *other = 1;
        std::free(other);
    }
    return 0;
}
