// Writes the entries of one layer's tar into a directory, in overlay's form. Nothing outside that
// directory is ever touched: names are cleaned, parents are resolved by us inside the layers, and
// every directory is opened without following links. What a name means is decided as if the layer
// were mounted on top of its parents: `bin/x` below a lower `bin -> usr/bin` goes to usr/bin/x, a
// directory that the tar leaves out takes its attributes from below, and a hard link to a file of
// a lower layer copies that file up first. Only those need the layers below, which are asked for
// then and not before: they may still be on their way. Single thread; borrows the root.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/tar_reader.h"
#include "base/unique_fd.h"
#include "linux/filesystem.h"
#include "storage/directory_times.h"
#include "storage/entry_file.h"
#include "storage/inode.h"
#include "storage/layer_view.h"
#include "storage/tar_record.h"

namespace berth::storage {

/// Opens the files of the layers below, top first; may wait until they are there. Empty where
/// there are none.
using LowerLayers = std::function<std::vector<UniqueFd>()>;

class LayerWriter final {
  public:
    /// `recorder` learns where contents went; it outlives this.
    LayerWriter(BorrowedFd root, LowerLayers lower, TarRecorder& recorder);
    /// Writes one entry; the content of a file is taken from `content`. Throws Error{invalid} for
    /// names that lead outside and for owners that the user namespace has no ids for.
    void add(const archive::TarEntry& entry, archive::TarReader& content);
    /// Gives directories their times, which later entries would have changed.
    void finish();
    std::int64_t size() const { return size_; }
    /// The archive said what the layer's root directory is.
    bool has_root() const { return times_.has(""); }
    /// Devices that were left out, since a user namespace can have none.
    const std::vector<std::string>& skipped() const { return skipped_; }

  private:
    struct Parent final {
        UniqueFd fd;
        std::string path;   // resolved, relative to the layer
        bool bare = false;  // just made, and nothing of the lower layers shows in it
    };

    void add_below(const archive::TarEntry& entry, const std::string& path,
                   archive::TarReader& content);
    void add_whiteout(const std::string& parent_path, const std::string& name);
    void add_directory(const Place& place, const Attributes& attributes);
    void add_file(const Place& place, const archive::TarEntry& entry, const Attributes& attributes,
                  archive::TarReader& content);
    void add_hard_link(const Place& place, const archive::TarEntry& entry);
    void add_symlink(const Place& place, const archive::TarEntry& entry,
                     const Attributes& attributes);
    void add_special(const Place& place, const archive::TarEntry& entry,
                     const Attributes& attributes);

    std::shared_ptr<const Parent> parent_of(const std::string& directory);
    UniqueFd open_or_make(const std::string& directory);
    UniqueFd make_implied(const Place& place, const std::optional<LayerView::Found>& below);
    void copy_up(const std::string& path);
    void clear(const Place& place);
    void forget_links();

    const LayerView& view();

    BorrowedFd root_;
    TarRecorder& recorder_;
    LowerLayers open_lower_;
    std::vector<UniqueFd> lower_;
    std::optional<LayerView> view_;  // this layer and those below; made at its first use
    KnownIds ids_;
    // By the name that the tar uses. Shared, since an entry may empty this while it uses its
    // parent.
    std::unordered_map<std::string, std::shared_ptr<const Parent>> parents_;
    linux_os::SpaceGuard space_;
    DirectoryTimes times_;  // by resolved path
    std::vector<std::string> skipped_;
    std::int64_t size_ = 0;
};

}  // namespace berth::storage
