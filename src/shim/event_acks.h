// Waits until every connection that was sent an exit event has acknowledged it or closed, 2 s at
// most: only then may clients see the end of their stream, so that one who inspects at once sees
// the exit. Runs on the shim's loop.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <set>
#include <string>

#include "shim/control.h"
#include "shim/event_loop.h"

namespace berth::shim {

class EventAcks final {
  public:
    explicit EventAcks(EventLoop& loop) : loop_(loop) {}
    ~EventAcks();
    EventAcks(const EventAcks&) = delete;
    EventAcks& operator=(const EventAcks&) = delete;

    /// `exec_id` absent: the exit of process 1. Calls back at once when nobody is to be asked.
    void wait(std::optional<std::string> exec_id, std::set<Control::ConnectionId> connections,
              std::function<void()> done);
    void acknowledged(Control::ConnectionId connection, const std::optional<std::string>& exec_id);
    void closed(Control::ConnectionId connection);

  private:
    struct Wait {
        std::optional<std::string> exec_id;
        std::set<Control::ConnectionId> missing;
        std::function<void()> done;
        EventLoop::TimerId timer = 0;
    };
    void settle();

    EventLoop& loop_;
    std::list<Wait> waits_;
};

}  // namespace berth::shim
