// What a user asks of a registry besides images: whether credentials are right (`docker login`),
// and which repositories a word finds (`docker search`). Synchronous; run it on a thread of its
// own.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "image/auth.h"
#include "image/registry_settings.h"

namespace berth::image {

/// Logs in at credentials.server_address, Docker Hub when that is empty. The identity token that
/// the registry gives instead of the password, if any. Throws Error{unauthorized} for wrong ones.
std::string log_in(const RegistrySettings& settings, const Credentials& credentials,
                   std::stop_token stop);

struct FoundRepository final {
    std::string name;
    std::string description;
    bool is_official = false;
    std::int64_t stars = 0;
};

/// `term` may begin with a registry's host; else Docker Hub is asked.
std::vector<FoundRepository> search(const RegistrySettings& settings, const std::string& term,
                                    std::int64_t limit, const Credentials& credentials,
                                    std::stop_token stop);

}  // namespace berth::image
