// Where the output of process 1 goes besides its clients: a file or a log service, or both. One
// object a container, on the shim's loop. Errors are told by throwing; the container goes on.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "shim/event_loop.h"
#include "shim/protocol.h"

namespace berth::shim {

class LogDriver {
  public:
    virtual ~LogDriver() = default;
    /// Takes the next bytes of stream 1 or 2. Throws Error when they (or earlier ones) are lost.
    virtual void write(unsigned char stream, std::string_view bytes) = 0;
    /// The stream ended. Throws Error.
    virtual void end(unsigned char stream) = 0;
    /// True while the container is to wait, for a short time at most.
    virtual bool full() const { return false; }
    /// False while the last lines wait to be taken, for a short time at most.
    virtual bool idle() const { return true; }
    /// Called when full() has become false, or idle() true.
    virtual void on_room(std::function<void()>) {}
};

/// The driver that `config` names, with its second log; null for "none". Throws Error when it
/// cannot begin.
std::unique_ptr<LogDriver> make_log_driver(EventLoop& loop, const ShimConfig& config);

}  // namespace berth::shim
