// The engine's connection to the network process: opened at first use or when the supervisor says
// that the process is ready, and again after either side restarted. Engine thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/message_channel.h"
#include "async/sync.h"
#include "engine/context.h"
#include "net/protocol.h"

namespace berth::engine {

/// A request that a new connection begins with.
struct Reminder final {
    net::Request request;
    UniqueFd network_namespace;  // of an attach or a publish
};

class NetworkProcess final {
  public:
    explicit NetworkProcess(const Context& context) : context_(context) {}

    /// What the network process must know before anything else; set once.
    std::function<std::vector<Reminder>()> reminders;

    /// Throws the error of the reply, Error{unavailable} when the process cannot be reached.
    async::Task<net::Reply> call(net::Request request, std::vector<BorrowedFd> fds = {});
    /// Opens the connection unless it is open.
    async::Task<void> connect();
    /// What works worse than it should, in words for the user: as told at the last connection.
    const std::vector<std::string>& warnings() const { return warnings_; }

  private:
    using Channel = std::shared_ptr<async::MessageChannel>;
    async::Task<void> remind(Channel channel);

    const Context& context_;
    Channel channel_;
    async::Lock connecting_;
    std::vector<std::string> warnings_;
};

}  // namespace berth::engine
