// What the options of a volume of the driver `local` ask for: a directory of the engine's own, a
// directory of the user's that is bound, or a tmpfs that its containers share. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace berth::engine {

enum class LocalKind { directory, bind, tmpfs };

struct LocalVolume final {
    LocalKind kind = LocalKind::directory;
    std::string device;                // bind: a clean absolute path
    bool read_only = false;            // bind
    std::vector<std::string> options;  // tmpfs: the words of `o`
};

/// Throws Error{invalid} with Docker's texts, and for what a plain user cannot mount.
LocalVolume local_volume_from(const std::string& name,
                              const std::map<std::string, std::string>& options);

}  // namespace berth::engine
