// Exceptions and recursion through templates, virtual functions, and functions of the standard library.
#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using Here = void (*)();

namespace {

Here here;

struct Base {
    virtual ~Base() { here(); }
    virtual int visit(int depth) = 0;
};

template <int Size> struct Sized : Base {
    int visit(int depth) override
    {
        volatile char bytes[Size];
        bytes[0] = char(depth);
        here();
        if (depth == 0)
            throw std::runtime_error(std::string(50, 'x'));
        Sized<Size * 2 % 1000> next;
        return next.visit(depth - 1) + bytes[0];
    }
};

int sort(int count)
{
    std::vector<int> numbers(count);
    for (int at = 0; at < count; at++)
        numbers[at] = at * 7919 % 101;
    std::sort(numbers.begin(), numbers.end(), [](int a, int b) {
        here();
        return a < b;
    });
    return numbers[0];
}

} // namespace

extern "C" void recurse(Here f)
{
    here = f;
    for (int depth = 0; depth < 12; depth++) {
        try {
            Sized<24> first;
            first.visit(depth);
        } catch (const std::exception &) {
            here();
        }
    }
    sort(60);
    std::function<int(int)> fibonacci = [&](int n) {
        here();
        return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
    };
    fibonacci(10);
    std::map<std::string, std::string> map;
    for (int at = 0; at < 50; at++) {
        map[std::to_string(at * 31 % 50)] = std::string(at, 'y');
        here();
    }
}
