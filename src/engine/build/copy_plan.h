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
#include "build/mode.h"
#include "engine/build/build.h"
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
    std::string destination;                // absolute; "/" at its end: a directory
    SharedTree target;                      // the image below
    std::optional<storage::Owner> owner;    // of all but what an archive has; none: as it is
    std::optional<build::ModeChange> mode;  // likewise
    bool unpacks = false;                   // local archives (ADD)
    bool keep_parents = false;
    bool link = false;  // no link of the image is followed on the way to the destination
    std::vector<std::string> excludes;
    BuildDialect dialect = BuildDialect::classic;
};

struct CopyItem final {
    SharedTree tree;
    std::string source;  // in the tree
    std::string target;  // in the layer: "app/x"; of a directory's content: the directory
    bool unpacks = false;
    std::string name{};  // for the patterns of what is left out; empty: only what is in it counts
};

struct NewDirectory final {
    std::string path;
    SharedTree tree{};     // null: root's and 0755
    std::string source{};  // in the tree: what it is like
};

struct CopyPlan final {
    std::vector<CopyItem> items;
    std::vector<NewDirectory> new_directories;  // above the targets, outermost first
    std::string kind;                           // file, dir, multi: for the history
};

/// The directories on the way to `path`, itself included, that are not there; outermost first.
std::vector<NewDirectory> missing_directories(const storage::FileTree& tree,
                                              const std::string& path);

CopyPlan plan_copy(const CopyRequest& request);
/// The tar of the layer.
void write_copy(const CopyRequest& request, const CopyPlan& plan, archive::Sink& sink,
                std::stop_token stop);
/// Of all that the tar says but times.
Digest digest_of_copy(const CopyRequest& request, const CopyPlan& plan, std::stop_token stop);

}  // namespace berth::engine
