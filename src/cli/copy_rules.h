// Docker's rules of `cp`, as text: which argument names a container, and what becomes of which
// source at which destination. Pure; main errors are in the docker CLI's words.
#pragma once

#include <string>

namespace berth::cli {

struct CopyArgument final {
    std::string container;  // empty: a path of this machine
    std::string path;
};
/// "box:/etc" names a container; "/a:b", "./a:b" and "a" do not.
CopyArgument split_copy_argument(const std::string& text);

/// What is at a path; anything but a directory is a file here.
enum class Thing { absent, file, directory };

struct CopyTarget final {
    std::string path;  // absolute; a final "/" or "/." says that it is a directory
    Thing thing = Thing::absent;
};
struct CopyPlan final {
    std::string directory;  // where the source is unpacked
    std::string name;       // what it is called there; empty: as it is called
};
/// Throws Error for what cannot be.
CopyPlan plan_copy(Thing source, const CopyTarget& target);

/// True for "." and what ends with "/.": the content of a directory, not the directory.
bool names_content(const std::string& path);
/// Where a link at `path` leads that says `target`, with the end ("/", "/.") of `path`.
std::string link_destination(const std::string& path, const std::string& target);

}  // namespace berth::cli
