// The user's run-time directory: $XDG_RUNTIME_DIR, or without one /run/user/UID, or without a login
// session a private directory below /tmp, verified to belong to the user alone.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace berth::rootlesskit {

struct RuntimeDirectory final {
    std::string path;
    bool fallback = false;  // made by us; said in the log
};

/// Where it is when the environment names none: /run/user/UID when that is the user's (the case
/// after `sudo su -`), else /tmp/berth-UID.
std::string default_runtime_path(uid_t uid);

/// `from_environment` is the value of XDG_RUNTIME_DIR. Throws Error{denied} when what is there is
/// not a directory of the user's, with what mends it.
RuntimeDirectory find_runtime_directory(const std::optional<std::string>& from_environment,
                                        uid_t uid);

}  // namespace berth::rootlesskit
