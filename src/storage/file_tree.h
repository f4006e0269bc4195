// The files of a stack of layers, merged, or of one plain directory: for who reads single paths of
// an image without mounting it. Links are followed inside the tree only. One thread; the layers
// must not change meanwhile. Throws Error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "storage/layer_view.h"

namespace berth::storage {

class FileTree final {
  public:
    /// Top first; none is an empty tree.
    explicit FileTree(std::vector<UniqueFd> layers);

    /// What is at the path ("" is the root), itself a link or not; `path` has no links on its way.
    std::optional<LayerView::Found> find(const std::string& path) const;
    /// The path with all links followed, the last component's too. What is not there stays as
    /// named.
    std::string resolve(const std::string& path) const;
    /// Of a directory, sorted.
    std::vector<std::string> names(const std::string& directory) const;
    /// The text of a regular file; nothing when there is none.
    std::optional<std::string> read(const std::string& path, std::size_t limit) const;

  private:
    std::vector<UniqueFd> layers_;
    LayerView view_;
};

}  // namespace berth::storage
