#include "grpc/status.h"

#include "base/text.h"

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

std::string decode_message(std::string_view text) { return decode_percent_codes(text); }

}  // namespace berth::grpc
