#include "rootlesskit/runtime_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace berth::rootlesskit {
namespace {

bool is_private(const std::string& path, uid_t uid) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == uid &&
           (found.st_mode & 077) == 0;
}

std::string login_directory(uid_t uid) { return fmt::format("/run/user/{}", uid); }

RuntimeDirectory private_directory(uid_t uid) {
    const std::string path = default_runtime_path(uid);
    if (path == login_directory(uid)) return {path, false};
    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) throw_errno("making {}", path);
    // Anybody may have made this name in /tmp: a link or a stranger's directory is not used.
    if (!is_private(path, uid))
        throw Error(ErrorKind::denied,
                    "XDG_RUNTIME_DIR is not set, and {} is not a private directory of user {}: "
                    "remove it (`sudo rm -r {}`) or set XDG_RUNTIME_DIR",
                    path, uid, path);
    return {path, true};
}

}  // namespace

std::string default_runtime_path(uid_t uid) {
    const std::string login = login_directory(uid);
    return is_private(login, uid) ? login : fmt::format("/tmp/berth-{}", uid);
}

RuntimeDirectory find_runtime_directory(const std::optional<std::string>& from_environment,
                                        uid_t uid) {
    if (!from_environment || from_environment->empty()) return private_directory(uid);
    const std::string& path = *from_environment;
    const std::string mend =
        fmt::format("`sudo install -d -m 700 -o {} -g {} {}`", uid, ::getgid(), path);
    struct stat found {};
    if (!path.starts_with('/'))
        throw Error(ErrorKind::invalid,
                    "XDG_RUNTIME_DIR is '{}', not an absolute path: `unset XDG_RUNTIME_DIR`", path);
    if (::stat(path.c_str(), &found) < 0)
        throw Error(ErrorKind::denied, "run-time directory {} (XDG_RUNTIME_DIR): {}: {}", path,
                    errno_text(errno), mend);
    if (!S_ISDIR(found.st_mode) || ::access(path.c_str(), W_OK | X_OK) < 0)
        throw Error(ErrorKind::denied,
                    "run-time directory {} (XDG_RUNTIME_DIR) is not a directory that user {} can "
                    "write: {}",
                    path, uid, mend);
    return {path, false};
}

}  // namespace berth::rootlesskit
