#include "engine/data_root.h"

#include <fcntl.h>
#include <sys/file.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace berth::engine {
namespace {

constexpr int kFormat = 1;  // of the layout on disk; an unknown one is not touched

}  // namespace

void check_format(const std::string& data_root) {
    make_directories(data_root, 0711);
    const std::string path = data_root + "/format";
    const auto text = read_file_if_exists(path);
    if (!text) {
        replace_file(path, std::to_string(kFormat) + "\n", 0600, Durability::power);
        return;
    }
    if (*text != std::to_string(kFormat) + "\n")
        throw Error(ErrorKind::unsupported,
                    "{} has the format {}, this engine knows {}: use the berth that made it, or "
                    "another --data-root",
                    data_root, text->substr(0, text->find('\n')), kFormat);
}

UniqueFd lock_data_root(const std::string& root) {
    make_directories(root, 0700);
    UniqueFd lock = open_file(root + "/lock", O_RDWR | O_CREAT, 0600);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0)
        throw Error(ErrorKind::unavailable,
                    "the data directory {} is used by another engine: stop that one, or give this "
                    "one a directory of its own with --data-root",
                    root);
    return lock;
}

void remove_unfinished_records(const std::string& data_root) {
    for (const char* records :
         {"", "/images", "/content/blobs/sha256", "/networks", "/build-history"})
        remove_unfinished_files(data_root + records);
    for (const char* owners : {"/containers", "/volumes", "/builds/caches"}) {
        std::error_code absent;
        for (const auto& owner : std::filesystem::directory_iterator(data_root + owners, absent))
            remove_unfinished_files(owner.path());
    }
}

}  // namespace berth::engine
