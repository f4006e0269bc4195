// Files from elsewhere: what ADD and remote contexts fetch, through the engine's own proxies.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "image/registry_settings.h"

namespace berth::engine {

/// Fetches into `directory`, with the server's time of the file; the name that it has there: the
/// URL's, or `fallback`. Blocking. Throws Error.
std::string download(const std::string& url, const std::string& directory,
                     const std::string& fallback,
                     const std::shared_ptr<const image::RegistrySettings>& settings,
                     std::stop_token stop);

/// What an URL names, into the open file; when it was changed, as far as the server says.
std::optional<Timestamp> download_to(BorrowedFd file, const std::string& url,
                                     const std::shared_ptr<const image::RegistrySettings>& settings,
                                     std::stop_token stop);

/// Whether it begins as a tar does, compressed or not; reads from where the file stands.
bool is_tar(BorrowedFd file);

}  // namespace berth::engine
