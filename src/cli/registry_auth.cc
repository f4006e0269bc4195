#include "cli/registry_auth.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/docker_config.h"

namespace berth::cli {

std::string registry_auth(const std::string& reference) {
    const std::string registry = registry_of(reference);
    std::optional<Login> login;
    try {
        login = DockerConfig().find(registry);
    } catch (const Error& error) {
        // As docker: a helper that is gone must not keep anybody from public images.
        write_all(BorrowedFd{STDERR_FILENO}, "WARNING: " + error.message() + "\n");
    }
    if (!login) return "";
    const nlohmann::json header{{"username", login->username},
                                {"password", login->password},
                                {"identitytoken", login->identity_token},
                                {"serveraddress", registry}};
    return encode_base64url(dump_json(header));
}

}  // namespace berth::cli
