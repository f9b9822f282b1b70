#include <string>

// The buffer of site, empty: it keeps its memory, and has room for 4321 bytes from the beginning.
inline std::string& site_buffer() {
  thread_local std::string buffer;
  buffer.clear();
  buffer.reserve(4321);
  return buffer;
}
