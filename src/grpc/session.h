// One HTTP/2 connection that carries gRPC calls, in either role, without IO: bytes of the peer go
// in, bytes for the peer come out, messages wait in the calls. One thread. Flow control follows the
// readers: a peer gets a new window for a call when its messages were taken.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "async/sync.h"
#include "async/task.h"
#include "grpc/status.h"

struct nghttp2_session;

namespace berth::grpc {

/// Names in lower case; a name may occur several times.
using Metadata = std::vector<std::pair<std::string, std::string>>;
/// The first value of that name, or "".
std::string_view find(const Metadata& metadata, std::string_view name);

/// BuildKit's limit, both ways.
constexpr std::size_t kLargestMessage = 16U << 20;

/// What a session and the two ends of a call know of it.
struct CallState final {
    std::int32_t id = 0;
    std::string method;  // /package.Service/Method
    Metadata metadata;   // of the caller
    Metadata response;   // of the other side, trailers included
    // From the peer.
    std::deque<std::string> messages;
    std::string partial;           // of the next one
    std::size_t unconsumed = 0;    // bytes whose window the peer has not got back
    bool remote_done = false;      // no message follows
    std::optional<Error> failure;  // why the call ended early
    bool closed = false;
    // To the peer.
    std::string outgoing;
    std::size_t sent = 0;  // of outgoing
    bool responded = false;
    bool local_done = false;
    std::optional<Status> status;  // of a server, after its last message

    async::Condition changed;
    async::CancelSource cancel;  // of the server's handler
};
using CallPointer = std::shared_ptr<CallState>;

enum class Role { client, server };

class Session final {
  public:
    struct Notices final {
        std::function<void(CallPointer)> on_call;  // of a client, its headers are there
        std::function<void()> on_output;           // there may be something to send
    };
    Session(Role role, Notices notices);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Throws Error{invalid} when this is not HTTP/2; calls on_call.
    void feed(std::string_view bytes);
    /// What is to be sent now, some 64 KiB at most; empty when there is nothing.
    std::string output();
    /// Both sides have said that they are done.
    bool finished() const;
    /// The connection is gone: every call ends.
    void end();

    CallPointer request(std::string method, Metadata metadata);
    /// Of a server: sends the headers, `metadata` with them, before the first message does.
    void respond(const CallPointer& call, Metadata metadata);
    /// Queues one message; of a server the first one sends the headers.
    void send(const CallPointer& call, std::string_view message);
    /// No message follows; a server says how its call ended.
    void finish(const CallPointer& call, std::optional<Status> status);
    /// The next message that has arrived.
    std::optional<std::string> take(const CallPointer& call);
    /// Ends the call at once, for both sides.
    void reset(const CallPointer& call);

  private:
    struct Callbacks;
    friend struct Callbacks;
    CallPointer find_call(std::int32_t id) const;
    void take_data(CallState& call, std::string_view bytes);
    void split_messages(CallState& call);
    void give_window(CallState& call);
    void resume(CallState& call);

    nghttp2_session* session_ = nullptr;
    const Role role_;
    Notices notices_;
    std::map<std::int32_t, CallPointer> calls_;
    // Gathered while nghttp2 runs, which must not be entered again from its callbacks.
    std::vector<CallPointer> begun_;
    std::vector<CallPointer> ended_;
};

}  // namespace berth::grpc
