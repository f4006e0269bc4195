// A session with a container's process: standard streams of ours to and from a hijacked connection,
// a terminal in raw mode when there is one, its size, and signals passed on.
#pragma once

#include <functional>
#include <string>

#include "http/client.h"

namespace berth::cli {

enum class Framing { raw, multiplexed };
enum class Input { none, forwarded };

struct SessionHooks final {
    std::function<void(unsigned height, unsigned width)> resize;  // terminal sessions
    std::function<void(int signal)> signal;                       // sessions without a terminal
};

/// Copies until the engine closes the stream. Restores the terminal in any case.
void run_session(http::Upgraded connection, Framing framing, Input input,
                 const SessionHooks& hooks);

/// Whether standard input is a terminal.
bool stdin_is_terminal();

}  // namespace berth::cli
