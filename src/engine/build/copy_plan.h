// What COPY and ADD put where: sources found in trees of files, targets by Docker's rules of
// directories and trailing slashes, and the tar of the layer that this makes. Blocking: a worker's.
// Throws Error with dockerd's texts, without "COPY failed: ".
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/stream.h"
#include "base/digest.h"
#include "storage/file_tree.h"
#include "storage/inode.h"

namespace berth::engine {

using SharedTree = std::shared_ptr<const storage::FileTree>;

/// One word of the instruction, and where it is looked for.
struct CopySource final {
    SharedTree tree;
    std::string pattern;
    bool is_download = false;  // or an inline file: copied as it is, never unpacked
};

struct CopyRequest final {
    std::string instruction;  // ADD, COPY
    std::vector<CopySource> sources;
    std::string destination;              // absolute; "/" at its end: a directory
    SharedTree target;                    // the image below
    std::optional<storage::Owner> owner;  // of everything; none: as it is
    std::optional<mode_t> mode;           // of everything
    bool unpacks = false;                 // local archives (ADD)
    bool keep_parents = false;
    std::vector<std::string> excludes;
};

struct CopyItem final {
    SharedTree tree;
    std::string source;  // in the tree
    std::string target;  // in the layer: "app/x"; of a directory's content: the directory
    bool unpacks = false;
};

struct CopyPlan final {
    std::vector<CopyItem> items;
    std::vector<std::string> new_directories;  // above the targets, outermost first
    std::string kind;                          // file, dir, multi: for the history
};

/// The directories on the way to `path`, itself included, that are not there; outermost first.
std::vector<std::string> missing_directories(const storage::FileTree& tree,
                                             const std::string& path);

CopyPlan plan_copy(const CopyRequest& request);
/// The tar of the layer.
void write_copy(const CopyRequest& request, const CopyPlan& plan, archive::Sink& sink,
                std::stop_token stop);
/// Of all that the tar says but times.
Digest digest_of_copy(const CopyRequest& request, const CopyPlan& plan, std::stop_token stop);

}  // namespace berth::engine
