#include "base/error.h"

#include <array>
#include <cstring>

namespace berth {
namespace {

constexpr std::array<std::pair<ErrorKind, std::string_view>, 10> kKindNames{{
    {ErrorKind::not_found, "not_found"},
    {ErrorKind::conflict, "conflict"},
    {ErrorKind::invalid, "invalid"},
    {ErrorKind::denied, "denied"},
    {ErrorKind::unauthorized, "unauthorized"},
    {ErrorKind::unavailable, "unavailable"},
    {ErrorKind::unsupported, "unsupported"},
    {ErrorKind::not_modified, "not_modified"},
    {ErrorKind::cancelled, "cancelled"},
    {ErrorKind::internal, "internal"},
}};

}  // namespace

std::string_view to_string(ErrorKind kind) {
    for (const auto& [value, name] : kKindNames)
        if (value == kind) return name;
    return "internal";
}

ErrorKind error_kind_from(std::string_view name) {
    for (const auto& [value, text] : kKindNames)
        if (text == name) return value;
    return ErrorKind::internal;
}

std::string errno_text(int errno_value) {
    std::array<char, 128> buffer{};
    return ::strerror_r(errno_value, buffer.data(), buffer.size());
}

Error Error::from_errno(int errno_value, std::string message) {
    Error error;
    error.errno_ = errno_value;
    error.message_ = std::move(message) + ": ";
    // strerror capitalises; our messages, and the texts that clients match, are lower case.
    std::string text = errno_text(errno_value);
    if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
        text[0] = static_cast<char>(text[0] - 'A' + 'a');
    error.message_ += text;
    return error;
}

Error Error::with_text(ErrorKind kind, std::string message, int errno_value) {
    Error error;
    error.kind_ = kind;
    error.message_ = std::move(message);
    error.errno_ = errno_value;
    return error;
}

}  // namespace berth
