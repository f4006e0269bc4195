// Files of the client (FileSync.DiffCopy of its session), written as a tar in the order of its
// walk: they are unpacked by the one who unpacks every archive. Names are not checked here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "buildkit/session.h"

namespace berth::buildkit {

struct SyncRequest final {
    std::string directory;  // the client's name of it: context, dockerfile
    std::vector<std::string> include, exclude;
    std::vector<std::string> follow;  // links that are files to include as well
};

/// Takes the tar piece by piece and waits while its reader is slow.
using TarOutput = std::function<async::Task<>(std::string bytes)>;
/// Told how many bytes of content have come.
using SyncProgress = std::function<void(std::int64_t bytes)>;

/// Throws Error{invalid} when the client breaks the protocol, and the client's own errors.
async::Task<> sync_files(std::shared_ptr<Session> session, SyncRequest request, TarOutput output,
                         SyncProgress progress);

}  // namespace berth::buildkit
