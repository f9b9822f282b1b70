/// Two macros that write a line to the standard log: `LOG_INFO`, and `LOG_DEBUG`, which is nothing with `NDEBUG`. What they
/// are given may be anything that a stream takes, also a chain of it: `LOG_INFO("at " << address)`.
#ifndef MILLPOND_COMMON_LOGGING_HPP
#define MILLPOND_COMMON_LOGGING_HPP

#include <iostream>

#define LOG_INFO(message) (void)(std::clog << "[INFO] " << message << '\n')

#ifdef NDEBUG
#define LOG_DEBUG(message) (void)0
#else
#define LOG_DEBUG(message) (void)(std::clog << "[DEBUG] " << message << '\n')
#endif

#endif
