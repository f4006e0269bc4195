// Programs that keep credentials for docker: docker-credential-NAME get|store|erase, JSON on
// standard input and output. They may ask the user (a key ring, a card), so they get two minutes.
#pragma once

#include <optional>
#include <string>

#include "cli/docker_config.h"

namespace berth::cli {

/// Nothing when the helper has none. Throws Error with what it said when it fails.
std::optional<Login> ask_credential_helper(const std::string& name, const std::string& registry);
void tell_credential_helper(const std::string& name, const std::string& registry,
                            const Login& login);
void erase_at_credential_helper(const std::string& name, const std::string& registry);

}  // namespace berth::cli
