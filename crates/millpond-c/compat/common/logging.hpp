/// Logging to `std::clog` from a level on: `LOG_DEBUG`, `LOG_INFO`, `LOG_WARN`, `LOG_ERROR`. The argument may be
/// anything that can be written to a stream, including a chain: `LOG_INFO("at " << address)`. Below the level, it is
/// not evaluated. With `NDEBUG`, `LOG_DEBUG` does nothing.
#ifndef MILLPOND_COMMON_LOGGING_HPP
#define MILLPOND_COMMON_LOGGING_HPP

#include <atomic>
#include <iostream>

namespace common {

enum class LogLevel { Debug, Info, Warn, Error, Off };

namespace detail {
inline std::atomic<LogLevel> level{LogLevel::Debug};
}  // namespace detail

/// Sets the level below which lines are omitted. Any thread.
inline void set_log_level(LogLevel level) noexcept { detail::level.store(level, std::memory_order_relaxed); }

/// Returns the level from which on lines are written; initially `Debug`. Any thread.
inline LogLevel log_level() noexcept { return detail::level.load(std::memory_order_relaxed); }

/// Returns whether lines of this level are written. Any thread.
inline bool is_logged(LogLevel level) noexcept { return level >= log_level(); }

}  // namespace common

#define MILLPOND_LOG(level, name, message) \
  (void)(::common::is_logged(::common::LogLevel::level) && (std::clog << "[" name "] " << message << '\n'))

#define LOG_INFO(message) MILLPOND_LOG(Info, "INFO", message)
#define LOG_WARN(message) MILLPOND_LOG(Warn, "WARN", message)
#define LOG_ERROR(message) MILLPOND_LOG(Error, "ERROR", message)

#ifdef NDEBUG
#define LOG_DEBUG(message) (void)0
#else
#define LOG_DEBUG(message) MILLPOND_LOG(Debug, "DEBUG", message)
#endif

#endif
