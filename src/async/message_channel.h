// Our end of a linux/message_socket.h connection on the io_context thread: requests matched to
// their replies by "seq", events to a handler, a notice when the peer is gone. The channel adds
// "v":1 and "seq" to what it sends. Wire format: docs/processes.md.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "async/task.h"
#include "base/unique_fd.h"

namespace berth::async {

/// A message that arrived: its JSON object and the descriptors that came along.
struct ChannelMessage final {
    std::shared_ptr<const nlohmann::json> json;  // never null
    std::vector<UniqueFd> fds;
    const nlohmann::json& body() const { return *json; }
};

class MessageChannel final {
  public:
    struct Handlers final {
        std::function<void(ChannelMessage)> on_event;  // anything that is not a reply
        std::function<void()> on_closed;               // once; not after close()
    };

    /// Takes the connected socket and reads from it at once. `peer` names the other side in errors.
    /// Handlers run on the io_context thread and may destroy the channel.
    MessageChannel(Executor executor, UniqueFd socket, std::string peer, Handlers handlers);
    ~MessageChannel();
    MessageChannel(const MessageChannel&) = delete;
    MessageChannel& operator=(const MessageChannel&) = delete;

    /// Sends `message` (an object with "type") and waits for its reply. Throws the Error that the
    /// reply carries; Error{unavailable} when the peer is gone; Error{cancelled}.
    /// The descriptors are the caller's and must stay open until the reply.
    Task<ChannelMessage> request(nlohmann::json message, std::vector<BorrowedFd> fds = {});
    /// Sends without waiting for an answer; lost when the peer is gone.
    void notify(const nlohmann::json& message);
    bool closed() const;
    /// Ends reading; pending requests fail, on_closed is not called.
    void close();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace berth::async
