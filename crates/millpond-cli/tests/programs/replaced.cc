// Replaces the basic operators only: those of the standard library call them in all other forms.
#include <cstdlib>
#include <new>

static char buffer[1 << 20];
static std::size_t used;

void *operator new(std::size_t size) {
    void *block = buffer + used;
    used += (size + 63) / 64 * 64;
    return block;
}

void operator delete(void *block) noexcept {
    if (block && (block < buffer || block >= buffer + sizeof buffer))
        std::abort();
}

int main() {
    for (int at = 0; at < 100; at++) {
        ::operator delete(::operator new(40), std::size_t(40));
        ::operator delete[](::operator new[](40));
        ::operator delete(::operator new(40, std::nothrow), std::nothrow);
        ::operator delete[](::operator new[](40), std::size_t(40));
        std::free(std::malloc(1100));
    }
    return used == 400 * 64 ? 6 : 1;
}
