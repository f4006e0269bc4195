// What a path is in a stack of layers, as overlay would show it: whiteouts, opaque directories and
// files in the place of directories hide what is below. Symbolic links are answered, not followed.
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

  private:
    std::vector<BorrowedFd> layers_;
};

/// "a/b" -> {"a", "b"}; empty and "." components are left out, ".." stays.
std::vector<std::string> components_of(std::string_view path);

}  // namespace berth::storage
