/// Lines on the standard log, from a level on: `LOG_DEBUG`, `LOG_INFO`, `LOG_WARN`, `LOG_ERROR`. What they are given may be anything
/// that a stream takes, also a chain of it: `LOG_INFO("at " << address)`; below the level it is not evaluated. With `NDEBUG`,
/// `LOG_DEBUG` is nothing.
#ifndef MILLPOND_COMMON_LOGGING_HPP
#define MILLPOND_COMMON_LOGGING_HPP

#include <atomic>
#include <iostream>

namespace common {

enum class LogLevel { Debug, Info, Warn, Error, Off };

namespace detail {
inline std::atomic<LogLevel> level{LogLevel::Debug};
}  // namespace detail

/// Lines below this level are left out from now on. Any thread.
inline void set_log_level(LogLevel level) noexcept { detail::level.store(level, std::memory_order_relaxed); }

/// From which level on lines are written; at first, from `Debug`. Any thread.
inline LogLevel log_level() noexcept { return detail::level.load(std::memory_order_relaxed); }

/// Whether lines of this level are written. Any thread.
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
