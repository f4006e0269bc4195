// The one exception type of berth. A kind decides the HTTP status (src/api) and the exit code
// (src/cli); the message is lower case, has no full stop and names the object and the path.
// Layers on the way up add context once: `catch (Error& e) { throw e.while_("starting {}", id); }`.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace berth {

enum class ErrorKind {
    not_found,
    conflict,
    invalid,
    denied,
    unauthorized,
    unavailable,
    unsupported,
    not_modified,
    cancelled,
    internal,
};

std::string_view to_string(ErrorKind kind);
/// The kind of that name; `internal` for an unknown one.
ErrorKind error_kind_from(std::string_view name);

class Error final : public std::exception {
  public:
    template <typename... Args>
    explicit Error(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args)
        : kind_(kind), message_(fmt::format(format, std::forward<Args>(args)...)) {}

    /// An error of the operating system: `message` followed by the text of `errno_value`.
    static Error from_errno(int errno_value, std::string message);
    /// An error whose text is already whole, for example one that came over a socket.
    static Error with_text(ErrorKind kind, std::string message, int errno_value = 0);

    /// Puts "CONTEXT: " before the message; for the layers on the way up.
    template <typename... Args>
    Error& while_(fmt::format_string<Args...> format, Args&&... args) {
        message_ = fmt::format(format, std::forward<Args>(args)...) + ": " + message_;
        return *this;
    }

    ErrorKind kind() const { return kind_; }
    int errno_value() const { return errno_; }
    const std::string& message() const { return message_; }
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    Error() = default;
    ErrorKind kind_ = ErrorKind::internal;
    int errno_ = 0;
    std::string message_;
};

/// Throws the error of the current errno: "TEXT: strerror". Call it right after the failed call.
template <typename... Args>
[[noreturn]] void throw_errno(fmt::format_string<Args...> format, Args&&... args) {
    const int saved = errno;
    throw Error::from_errno(saved, fmt::format(format, std::forward<Args>(args)...));
}

/// The text of an errno value, thread-safe.
std::string errno_text(int errno_value);

/// The message of the Error that `attempt` throws; empty when it works.
template <typename Attempt>
std::string failure_text(Attempt attempt) {
    try {
        attempt();
        return "";
    } catch (const Error& error) {
        return error.message();
    }
}

}  // namespace berth
