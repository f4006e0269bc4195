// The engine's side of one berth-shim: starts it or finds it again, sends requests, hands its
// events to the container. Engine thread only. Errors are those of the shim's replies, or
// Error{unavailable} when it is gone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/message_channel.h"
#include "async/sync.h"
#include "async/task.h"
#include "base/unique_fd.h"
#include "linux/pid_fd.h"
#include "shim/protocol.h"

namespace berth::engine {

struct ShimHandlers final {
    std::function<void(const shim::ExitEvent&)> on_exit;
    std::function<void(const shim::ExecExitEvent&)> on_exec_exit;
    std::function<void(const shim::DetachedEvent&)> on_detached;
    std::function<void()> on_oom;
    std::function<void()> on_closed;  // the shim is gone or going
};

/// Process 1 as the runtime made it.
struct CreatedProcess final {
    pid_t pid = 0;
    UniqueFd pidfd;
    UniqueFd network_namespace;
};

class ShimClient final {
  public:
    /// Starts berth-shim for the prepared directory, in the cgroup `cgroup` (empty: the engine's).
    static std::unique_ptr<ShimClient> spawn(async::Executor executor, async::TaskGroup& tasks,
                                             const std::string& directory,
                                             const std::string& cgroup, ShimHandlers handlers);
    /// Connects to a shim that runs already. Throws Error when none listens.
    static std::unique_ptr<ShimClient> connect(async::Executor executor,
                                               const std::string& directory, ShimHandlers handlers);

    /// Of a shim that spawn() started.
    pid_t pid() const { return pid_; }
    async::Task<CreatedProcess> create();
    async::Task<void> start();
    async::Task<void> attach(shim::StreamOptions streams, BorrowedFd client);
    async::Task<pid_t> exec(shim::ExecRequest request, BorrowedFd client);
    async::Task<void> resize(shim::ResizeRequest request);
    async::Task<void> signal(int number);
    async::Task<shim::StateReply> state();
    async::Task<void> shutdown();
    void acknowledge(shim::ExitAck ack);
    /// Until the shim's process has ended (for one that was found again: until it hung up).
    async::Task<async::Wake> wait_gone(SteadyTime deadline);

  private:
    ShimClient(async::Executor executor, UniqueFd socket, ShimHandlers handlers);
    async::Task<async::ChannelMessage> call(shim::Request request,
                                            std::vector<BorrowedFd> fds = {});

    ShimHandlers handlers_;
    std::shared_ptr<async::Event> gone_;
    bool own_child_ = false;
    pid_t pid_ = -1;
    std::unique_ptr<async::MessageChannel> channel_;
};

}  // namespace berth::engine
