#include "grpc/status.h"

#include <charconv>

namespace berth::grpc {

Status status_of(const Error& error) {
    switch (error.kind()) {
        case ErrorKind::cancelled:
            return {Code::cancelled, error.message()};
        case ErrorKind::unsupported:
            return {Code::unimplemented, error.message()};
        default:
            return {Code::unknown, error.message()};
    }
}

namespace {
ErrorKind kind_of(Code code) {
    switch (code) {
        case Code::cancelled:
            return ErrorKind::cancelled;
        case Code::invalid_argument:
            return ErrorKind::invalid;
        case Code::not_found:
            return ErrorKind::not_found;
        case Code::already_exists:
            return ErrorKind::conflict;
        case Code::permission_denied:
            return ErrorKind::denied;
        case Code::unauthenticated:
            return ErrorKind::unauthorized;
        case Code::unimplemented:
            return ErrorKind::unsupported;
        case Code::deadline_exceeded:
        case Code::unavailable:
            return ErrorKind::unavailable;
        default:
            return ErrorKind::internal;
    }
}
}  // namespace

Error error_of(const Status& status) {
    return Error::with_text(kind_of(status.code),
                            status.message.empty()
                                ? fmt::format("grpc status {}", static_cast<int>(status.code))
                                : status.message);
}

std::string encode_message(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        if (c >= ' ' && c <= '~' && c != '%')
            encoded += c;
        else
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

std::string decode_message(std::string_view text) {
    std::string decoded;
    for (std::size_t at = 0; at < text.size(); ++at) {
        unsigned char byte = 0;
        const char* const digits = text.data() + at + 1;
        const bool escaped = text[at] == '%' && at + 2 < text.size() &&
                             std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
        decoded += escaped ? static_cast<char>(byte) : text[at];
        if (escaped) at += 2;
    }
    return decoded;
}

}  // namespace berth::grpc
