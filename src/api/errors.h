// The one place where an error's kind becomes an HTTP status and a body as Docker clients read it.
#pragma once

#include "base/error.h"
#include "http/message.h"

namespace berth::api {

int status_of(ErrorKind kind);
/// {"message": "..."} with the status of the error; no body for 304.
http::Response error_response(const Error& error);

}  // namespace berth::api
