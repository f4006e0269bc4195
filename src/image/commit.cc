#include "image/commit.h"

#include "image/platform.h"

namespace berth::image {

oci::ImageConfig committed_config(Commit commit, Timestamp now) {
    oci::ImageConfig result = std::move(commit.base);
    result.created = now;
    result.author = commit.author;
    result.comment = commit.comment;
    result.command = std::move(commit.command);
    if (result.platform.architecture.empty()) result.platform = parse_platform("");
    result.config = std::move(commit.config);
    if (commit.diff_id) result.diff_ids.push_back(*commit.diff_id);
    result.history.push_back({.created = now,
                              .created_by = std::move(commit.created_by),
                              .author = std::move(commit.author),
                              .comment = std::move(commit.comment),
                              .empty_layer = !commit.diff_id});
    return result;
}

}  // namespace berth::image
