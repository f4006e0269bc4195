#include "linux/nameless_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"

namespace berth::linux_os {

UniqueFd nameless_file(const std::string& directory) {
    UniqueFd file{::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (file) return file;
    // Not every file system knows O_TMPFILE (fuse, some overlays): make a name and drop it at once.
    std::string name = directory + "/.nameless-XXXXXX";
    file.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (!file) throw_errno("making a temporary file in {}", directory);
    ::unlink(name.c_str());
    return file;
}

}  // namespace berth::linux_os
