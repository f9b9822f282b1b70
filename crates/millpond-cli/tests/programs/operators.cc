// Calls every form of `operator new` and `operator delete` once with a size of its own, lets one fail, and says how.
#include <cstdio>
#include <new>

static int handled;

int main() {
    using A = std::align_val_t;
    const A align{64};
    ::operator delete(::operator new(1001));
    ::operator delete[](::operator new[](1002));
    ::operator delete(::operator new(1003, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](1004, std::nothrow), std::nothrow);
    ::operator delete(::operator new(1005, align), align);
    ::operator delete[](::operator new[](1006, align), align);
    ::operator delete(::operator new(1007, align, std::nothrow), align, std::nothrow);
    ::operator delete[](::operator new[](1008, align, std::nothrow), align, std::nothrow);
    ::operator delete(::operator new(1009), std::size_t(1009));
    ::operator delete[](::operator new[](1010), std::size_t(1010));
    ::operator delete(::operator new(1011, align), std::size_t(1011), align);
    ::operator delete[](::operator new[](1012, align), std::size_t(1012), align);
    ::operator delete(nullptr);
    void *nothing = ::operator new(0);
    ::operator delete(nothing);
    std::set_new_handler([] {
        handled++;
        std::set_new_handler(nullptr);
    });
    volatile std::size_t much = std::size_t(1) << 60;
    try {
        ::operator delete(::operator new(much));
    } catch (const std::bad_alloc &) {
        handled += 10;
    }
    if (!::operator new(much, std::nothrow))
        handled += 100;
    try {
        ::operator delete(::operator new(8, A{std::size_t(3)}), A{std::size_t(3)});
    } catch (const std::bad_alloc &) {
        handled += 1000;
    }
    std::printf("%d\n", handled);
}
