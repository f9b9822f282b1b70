// Reads freed memory on purpose.
#include <cstring>

#include "expect.hpp"

struct object {
  std::uint64_t words[4];
};

int main(int count, char** arguments) {
  EXPECT(count == 2);
  if (std::strcmp(arguments[1], "object_pool") == 0) {
    millpond::object_pool<object> pool;
    object* const volatile it = pool.create(object{});
    pool.destroy(it);
    return static_cast<int>(it->words[3]);
  }
  millpond::resource<millpond::classes> resource;
  auto* const volatile bytes = static_cast<volatile char*>(resource.allocate(32, 8));
  resource.deallocate(const_cast<char*>(bytes), 32, 8);
  return bytes[20];
}
