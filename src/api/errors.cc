#include "api/errors.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace berth::api {

int status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::not_found:
            return 404;
        case ErrorKind::conflict:
            return 409;
        case ErrorKind::invalid:
            return 400;
        case ErrorKind::denied:
            return 403;
        case ErrorKind::unauthorized:
            return 401;
        case ErrorKind::unavailable:
            return 503;
        case ErrorKind::unsupported:
            return 501;
        case ErrorKind::not_modified:
            return 304;
        case ErrorKind::cancelled:
        case ErrorKind::internal:
            return 500;
    }
    return 500;
}

http::Response error_response(const Error& error) {
    http::Response response;
    response.status = status_of(error.kind());
    if (response.status == 304) return response;
    response.headers.set("Content-Type", "application/json");
    response.body = dump_json({{"message", error.message()}}) + "\n";
    return response;
}

}  // namespace berth::api
