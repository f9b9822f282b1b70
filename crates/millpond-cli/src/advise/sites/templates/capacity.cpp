#include <vector>

// A vector for site with room for 4321 bytes, which are enough nearly always.
template <class T>
std::vector<T> site_vector() {
  std::vector<T> values;
  values.reserve((4321 + sizeof(T) - 1) / sizeof(T));
  return values;
}
