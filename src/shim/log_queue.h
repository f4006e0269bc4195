// Messages on their way to a log service (journald, syslog). Nothing here waits for the service:
// what its socket does not take is kept up to a limit. Over it, mode non-blocking drops new
// messages; else the container's output rests until the service goes on, or for kPatience, after
// which what waits is dropped. After the end of the output what is left has kPatience as well.
// On the shim's loop; borrows the socket.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "shim/event_loop.h"
#include "shim/protocol.h"

namespace berth::shim {

class LogQueue final {
  public:
    enum class Taken { yes, later, lost };
    /// Sends a message at once or not; what was sent in part is cut off its front.
    using Send = std::function<Taken(std::string& message)>;

    LogQueue(EventLoop& loop, const LogConfig& config, Send send);
    ~LogQueue();
    LogQueue(const LogQueue&) = delete;
    LogQueue& operator=(const LogQueue&) = delete;

    /// The socket whose room (or other event) is waited for. An earlier one must still be open, or
    /// was let go of.
    void use(BorrowedFd socket, std::uint32_t event = EPOLLOUT);
    void let_go();

    void add(std::string message);
    /// No output follows: patience begins.
    void finish();
    bool full() const { return blocking_ && waiting_bytes_ > limit_; }
    bool idle() const { return waiting_.empty(); }
    void on_room(std::function<void()> callback) { on_room_ = std::move(callback); }
    /// Messages lost since the last call.
    std::uint64_t take_lost() { return std::exchange(lost_, 0); }

    static constexpr std::chrono::milliseconds kPatience{2000};

  private:
    void queue(std::string message);
    void flush();
    void update_watch();
    void socket_writable();
    void begin_patience();
    void give_up();

    EventLoop& loop_;
    Send send_;
    bool blocking_;
    std::size_t limit_;
    BorrowedFd socket_;
    std::uint32_t event_ = EPOLLOUT;
    std::deque<std::string> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::uint64_t lost_ = 0;
    bool watched_ = false;
    bool finishing_ = false;
    EventLoop::TimerId patience_ = 0;
    std::function<void()> on_room_;
};

}  // namespace berth::shim
