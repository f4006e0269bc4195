// Pseudo-terminals by descriptors only: the slave comes from TIOCGPTPEER on our own master, never
// from a path that a container could have exchanged (CVE-2025-52565).
#pragma once

#include "base/unique_fd.h"

namespace berth::linux_os {

struct TerminalSize final {
    unsigned height = 0;
    unsigned width = 0;
};

struct Terminal final {
    UniqueFd master;
    UniqueFd slave;
};

/// Opens a terminal through `ptmx`, which must lie on a devpts. Throws Error.
Terminal open_terminal(UniqueFd ptmx);
/// TIOCSWINSZ. Throws Error.
void set_terminal_size(BorrowedFd terminal, const TerminalSize& size);
/// Makes `slave` the controlling terminal of the caller's session and its streams 0, 1, 2.
void take_terminal(BorrowedFd slave);

}  // namespace berth::linux_os
