// All operators new and delete, and what they do without memory. Ends with the number of the line that went wrong.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#define CHECK(right)                                                                                                   \
    if (!(right))                                                                                                      \
    std::_Exit(__LINE__)

static const size_t too_large = SIZE_MAX / 4;
static int calls;

// Gives up after the second call.
static void handler() {
    if (++calls == 2)
        std::set_new_handler(nullptr);
}

struct alignas(128) aligned {
    char bytes[300];
};

template <class Allocate> static void throws(Allocate allocate) {
    calls = 0;
    std::set_new_handler(handler);
    try {
        allocate();
        CHECK(false);
    } catch (const std::bad_alloc &) {
        CHECK(calls == 2);
    }
}

int main() {
    const std::align_val_t align{64};
    for (size_t size = 0; size < 300000; size = size * 5 / 4 + 1) {
        void *block = operator new(size);
        std::memset(block, 1, size);
        operator delete(block);
        operator delete(operator new(size), size);
        operator delete(operator new(size, std::nothrow), std::nothrow);
        operator delete[](operator new[](size));
        operator delete[](operator new[](size), size);
        operator delete[](operator new[](size, std::nothrow), std::nothrow);
        block = operator new(size, align);
        CHECK((uintptr_t)block % 64 == 0);
        operator delete(block, align);
        operator delete(operator new(size, align), size, align);
        operator delete(operator new(size, align, std::nothrow), align, std::nothrow);
        operator delete[](operator new[](size, align), align);
        operator delete[](operator new[](size, align), size, align);
        operator delete[](operator new[](size, align, std::nothrow), align, std::nothrow);
    }
    operator delete(nullptr);
    operator delete[](nullptr, 5);
    throws([] { return operator new(too_large); });
    throws([] { return operator new[](too_large); });
    throws([] { return operator new(too_large, std::align_val_t{64}); });
    throws([] { return operator new[](too_large, std::align_val_t{64}); });
    CHECK(!operator new(too_large, std::nothrow) && !operator new[](too_large, std::nothrow));
    CHECK(!operator new(too_large, std::align_val_t{64}, std::nothrow));
    std::vector<std::string> words;
    for (int at = 0; at < 10000; at++)
        words.push_back(std::string(at % 100, 'a'));
    std::unique_ptr<aligned[]> array(new aligned[100]);
    CHECK((uintptr_t)array.get() % 128 == 0 && words[99].size() == 99);
    return 0;
}
