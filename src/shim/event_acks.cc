#include "shim/event_acks.h"

#include <algorithm>
#include <utility>

namespace berth::shim {
namespace {

constexpr std::chrono::milliseconds kAckWait{2000};

}  // namespace

EventAcks::~EventAcks() {
    for (const Wait& wait : waits_) loop_.cancel(wait.timer);
}

void EventAcks::wait(std::optional<std::string> exec_id,
                     std::set<Control::ConnectionId> connections, std::function<void()> done) {
    Wait& wait =
        waits_.emplace_back(Wait{std::move(exec_id), std::move(connections), std::move(done), 0});
    if (!wait.missing.empty())
        wait.timer = loop_.after(kAckWait, [this, &wait] {
            wait.missing.clear();
            settle();
        });
    settle();
}

void EventAcks::acknowledged(Control::ConnectionId connection,
                             const std::optional<std::string>& exec_id) {
    for (Wait& wait : waits_)
        if (wait.exec_id == exec_id) wait.missing.erase(connection);
    settle();
}

void EventAcks::closed(Control::ConnectionId connection) {
    for (Wait& wait : waits_) wait.missing.erase(connection);
    settle();
}

// A callback may begin another wait: look afresh after each.
void EventAcks::settle() {
    for (;;) {
        const auto found = std::find_if(waits_.begin(), waits_.end(),
                                        [](const Wait& wait) { return wait.missing.empty(); });
        if (found == waits_.end()) return;
        loop_.cancel(found->timer);
        const auto done = std::move(found->done);
        waits_.erase(found);
        done();
    }
}

}  // namespace berth::shim
