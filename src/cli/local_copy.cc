#include "cli/local_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"

namespace berth::cli {
namespace {

using linux_os::base_of;
using linux_os::clean_path;

std::string real_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real{::realpath(path.c_str(), nullptr),
                                                           &std::free};
    if (real) return real.get();
    if (errno == ENOTDIR) throw Error(ErrorKind::conflict, "not a directory");
    throw_errno("lstat {}", path);
}

std::string parent_of(const std::string& path) { return clean_path(path + "/.."); }

Thing thing_of(mode_t mode) { return S_ISDIR(mode) ? Thing::directory : Thing::file; }

void check_output(const std::string& path) {
    struct stat status {};
    const std::string parent = parent_of(clean_path(path));
    if (::stat(parent.c_str(), &status) < 0 && errno == ENOENT)
        throw Error(ErrorKind::not_found, "invalid output path: directory \"{}\" does not exist",
                    parent);
    if (::stat(path.c_str(), &status) < 0) {
        if (errno != ENOENT) throw_errno("stat {}", path);
        return;
    }
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
        throw Error(ErrorKind::conflict,
                    "invalid output path: \"{}\" must be a directory or a regular file: got a "
                    "device",
                    path);
}

}  // namespace

std::string absolute_path(const std::string& path) {
    if (path.starts_with('/')) return linux_os::clean_keeping_end(path);
    return linux_os::clean_keeping_end(std::filesystem::current_path().string() + "/" + path);
}

LocalSource open_source(const std::string& path, Links links) {
    const bool follows = links == Links::followed || path.ends_with('/') || names_content(path);
    const std::string real =
        follows ? real_path(path) : clean_path(real_path(parent_of(path)) + "/" + base_of(path));
    struct stat status {};
    if (::lstat(real.c_str(), &status) < 0) throw_errno("lstat {}", path);
    LocalSource source;
    source.path = real;
    source.thing = thing_of(status.st_mode);
    if (const std::string base = base_of(path); base != "/") source.name = base;
    const bool directory = source.thing == Thing::directory;
    source.directory = open_file(directory ? real : parent_of(real), O_PATH | O_DIRECTORY);
    source.entry = directory ? "." : base_of(real);
    return source;
}

CopyTarget local_target(const std::string& path) {
    constexpr int kMaxLinks = 10;
    check_output(path);
    CopyTarget target{path, Thing::absent};
    struct stat status {};
    for (int links = 0; ::lstat(target.path.c_str(), &status) == 0; ++links) {
        if (!S_ISLNK(status.st_mode)) {
            target.thing = thing_of(status.st_mode);
            return target;
        }
        if (links > kMaxLinks) throw Error(ErrorKind::conflict, "too many symlinks in {}", path);
        target.path =
            link_destination(target.path, std::filesystem::read_symlink(target.path).string());
    }
    if (errno != ENOENT) throw_errno("lstat {}", target.path);
    const std::string clean = clean_path(target.path);
    const std::string parent = names_content(target.path) ? clean : parent_of(clean);
    if (::stat(parent.c_str(), &status) < 0) throw_errno("stat {}", parent);
    if (!S_ISDIR(status.st_mode)) throw Error(ErrorKind::conflict, "not a directory");
    return target;
}

}  // namespace berth::cli
