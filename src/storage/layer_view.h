// What a path is in a stack of layers, as overlay would show it: whiteouts, opaque directories and
// files in the place of directories hide what is below. Only resolve follows symbolic links.
// Borrows the layers' descriptors.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace berth::storage {

class LayerView final {
  public:
    /// Top first.
    explicit LayerView(std::vector<BorrowedFd> layers) : layers_(std::move(layers)) {}

    struct Found final {
        std::size_t layer = 0;
        struct stat status {};
        UniqueFd parent;  // O_PATH, of the directory that holds it
        std::string name;
    };
    /// `path` is clean and relative ("etc/passwd").
    std::optional<Found> find(const std::string& path) const;
    /// What is merged into the directory `path`, top first: of each layer whose part of it shows.
    std::vector<UniqueFd> directories_at(const std::string& path) const;
    /// Follows symbolic links by hand, inside the layers. Directories that are not there stay as
    /// named. Throws Error{invalid} for a file on the way and for too many links.
    std::string resolve(const std::string& directory) const;

  private:
    std::vector<BorrowedFd> layers_;
};

/// "a/b" -> {"a", "b"}; empty and "." components are left out, ".." stays.
std::vector<std::string> components_of(std::string_view path);

}  // namespace berth::storage
