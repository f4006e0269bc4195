// Files from elsewhere: what ADD and remote contexts fetch, through the engine's own proxies.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/unique_fd.h"
#include "image/registry_settings.h"

namespace berth::engine {

/// Fetches into `directory`; the name that the file has there. Blocking. Throws Error.
std::string download(const std::string& url, const std::string& directory,
                     const std::shared_ptr<const image::RegistrySettings>& settings,
                     std::stop_token stop);

/// What an URL names, into the open file.
void download_to(BorrowedFd file, const std::string& url,
                 const std::shared_ptr<const image::RegistrySettings>& settings,
                 std::stop_token stop);

/// Whether it begins as a tar does, compressed or not; reads from where the file stands.
bool is_tar(BorrowedFd file);

}  // namespace berth::engine
