#include "linux/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
#include "linux/mount_api.h"

namespace berth::linux_os {

Terminal open_terminal(UniqueFd ptmx) {
    if (filesystem_magic(ptmx) != DEVPTS_SUPER_MAGIC)
        throw Error(ErrorKind::invalid, "/dev/ptmx is not on a devpts file system");
    int unlocked = 0;
    if (::ioctl(ptmx.get(), TIOCSPTLCK, &unlocked) < 0) throw_errno("unlocking the terminal");
    UniqueFd slave{::ioctl(ptmx.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (!slave) throw_errno("opening the slave of the terminal");
    return {std::move(ptmx), std::move(slave)};
}

void set_terminal_size(BorrowedFd terminal, const TerminalSize& size) {
    winsize window{};
    window.ws_row = static_cast<unsigned short>(size.height);
    window.ws_col = static_cast<unsigned short>(size.width);
    if (::ioctl(terminal.get(), TIOCSWINSZ, &window) < 0) throw_errno("sizing the terminal");
}

void take_terminal(BorrowedFd slave) {
    if (::ioctl(slave.get(), TIOCSCTTY, 0) < 0) throw_errno("taking the controlling terminal");
    for (int stream = 0; stream < 3; ++stream)
        if (::dup2(slave.get(), stream) < 0) throw_errno("connecting stream {}", stream);
}

}  // namespace berth::linux_os
