// One attached client: its socket, what it is attached to, and what waits to be sent to it.
// A plain record of ProcessStreams, which is the only user.
#pragma once

#include <memory>

#include "base/unique_fd.h"
#include "shim/detach_scanner.h"
#include "shim/event_loop.h"
#include "shim/outbox.h"
#include "shim/protocol.h"
#include "shim/websocket.h"

namespace berth::shim {

struct Client final {
    enum class Phase {
        attached,   // gets output
        finishing,  // only the backlog is still sent
        lingering,  // our side is shut down; input is discarded until the client closes too
    };

    Client(UniqueFd stream, StreamOptions wanted, DetachScanner keys, const std::string& spool)
        : socket(std::move(stream)),
          options(std::move(wanted)),
          scanner(std::move(keys)),
          outbox(spool) {}

    bool is_websocket() const { return options.framing == Framing::websocket; }

    UniqueFd socket;
    StreamOptions options;
    DetachScanner scanner;
    Outbox outbox;
    WebsocketInput websocket;  // framing websocket only
    Phase phase = Phase::attached;
    bool input_open = false;  // its end of file was not seen yet
    bool gone = false;        // hung up: nothing can be sent, what it sent is still read
    EventLoop::TimerId stall_timer = 0;
};

}  // namespace berth::shim
