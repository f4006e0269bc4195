#include "base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

namespace berth {

void UniqueFd::reset(int fd) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

Pipe Pipe::make() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) < 0) throw_errno("making a pipe");
    return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

UniqueFd duplicate(BorrowedFd fd) {
    const int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
    if (copy < 0) throw_errno("duplicating descriptor {}", fd.get());
    return UniqueFd{copy};
}

}  // namespace berth
