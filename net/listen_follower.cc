#include "net/listen_follower.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace berth::net {
namespace {

using std::chrono::milliseconds;

struct Step final {
    milliseconds until;
    milliseconds pause;
};

// A program that was told "ready" by the server connects a millisecond or two later at the
// earliest. The longer a server stays away, the less likely somebody waits for it.
constexpr Step kSteps[] = {{std::chrono::seconds(10), milliseconds(2)},
                           {std::chrono::minutes(2), milliseconds(5)},
                           {std::chrono::minutes(15), milliseconds(20)},
                           {std::chrono::hours(2), milliseconds(100)}};
constexpr milliseconds kLastPause{250};
// Many absent servers share one budget of 2,000 looks a second.
constexpr std::size_t kLooksPerMillisecond = 2;

}  // namespace

milliseconds look_pause(milliseconds absent, std::size_t waiting) {
    const milliseconds share{waiting / kLooksPerMillisecond};
    for (const Step& step : kSteps)
        if (absent < step.until) return std::max(step.pause, share);
    return std::max(kLastPause, share);
}

/// The ports of one container, and the view into it.
class ListenFollower::Container final {
  public:
    Container(ListenFollower& follower, std::string owner, ListenProbe probe)
        : follower_(follower), owner_(std::move(owner)), probe_(std::move(probe)) {
        follower_.poller_.add(probe_->process(), end_, EPOLLIN);
        follower_.poller_.add(probe_->closings(), closings_, EPOLLIN);
    }
    ~Container() { drop_probe(); }

    const std::string& owner() const { return owner_; }
    bool has(const FollowingPort& port) const {
        return std::ranges::any_of(ports_, [&](const Port& own) { return own.port == &port; });
    }
    bool is_looking() const { return probe_ && waiting() > 0; }
    std::size_t waiting() const {
        return static_cast<std::size_t>(
            std::ranges::count(ports_, false, [](const Port& own) { return own.listening; }));
    }
    SteadyTime next_look() const { return next_look_; }

    void add(FollowingPort& port) {
        ports_.push_back({&port});
        absent_since_ = next_look_ = std::chrono::steady_clock::now();
    }

    void look(SteadyTime now) {
        if (!probe_) return;
        for (Port& own : ports_) check(own, now);
        const auto absent = std::chrono::duration_cast<milliseconds>(now - absent_since_);
        next_look_ = now + look_pause(absent, follower_.waiting());
    }

  private:
    struct Port final {
        FollowingPort* port = nullptr;
        bool listening = false;
    };
    struct End final : PollTarget {
        explicit End(Container& owner) : container(owner) {}
        void on_events(std::uint32_t) override { container.on_end(); }
        Container& container;
    };
    struct Closings final : PollTarget {
        explicit Closings(Container& owner) : container(owner) {}
        void on_events(std::uint32_t) override {
            if (!container.probe_) return;
            container.probe_->take_closings();
            container.look(std::chrono::steady_clock::now());
        }
        Container& container;
    };

    void check(Port& own, SteadyTime now) {
        const bool listening =
            probe_->is_listening(own.port->target_address(), own.port->target_port());
        if (listening == own.listening) return;
        if (!listening) absent_since_ = now;
        set_listening(own, listening);
    }

    void set_listening(Port& own, bool listening) {
        try {
            if (listening)
                own.port->start_listening();
            else
                own.port->stop_listening();
            own.listening = listening;
        } catch (const Error& error) {  // the next look tries again
            log::warn("container={} a published port: {}", owner_.substr(0, 12), error.message());
        }
    }

    void on_end() {
        for (Port& own : ports_)
            if (own.listening) set_listening(own, false);
        drop_probe();
    }

    void drop_probe() {
        if (!probe_) return;
        follower_.poller_.remove(probe_->process());
        follower_.poller_.remove(probe_->closings());
        probe_.reset();
    }

    ListenFollower& follower_;
    std::string owner_;
    std::optional<ListenProbe> probe_;
    std::vector<Port> ports_;
    SteadyTime absent_since_{};
    SteadyTime next_look_{};
    End end_{*this};
    Closings closings_{*this};
};

ListenFollower::ListenFollower(Poller& poller) : poller_(poller) {}

ListenFollower::~ListenFollower() = default;

void ListenFollower::follow(const std::string& owner, std::optional<ListenProbe> probe,
                            const std::vector<FollowingPort*>& ports) {
    if (ports.empty()) return;
    if (!probe) {
        for (FollowingPort* port : ports) port->start_listening();
        return;
    }
    auto made = std::make_unique<Container>(*this, owner, std::move(*probe));
    for (FollowingPort* port : ports) made->add(*port);
    Container& added = *made;
    containers_.push_back(std::move(made));
    added.look(std::chrono::steady_clock::now());
}

void ListenFollower::forget(const std::string& owner) {
    containers_.remove_if([&](const auto& container) { return container->owner() == owner; });
}

void ListenFollower::was_refused(const FollowingPort& port) {
    for (const auto& container : containers_)
        if (container->has(port)) container->look(std::chrono::steady_clock::now());
}

std::size_t ListenFollower::waiting() const {
    std::size_t sum = 0;
    for (const auto& container : containers_)
        if (container->is_looking()) sum += container->waiting();
    return sum;
}

int ListenFollower::timeout(SteadyTime now) const {
    milliseconds shortest{-1};
    for (const auto& container : containers_) {
        if (!container->is_looking()) continue;
        const auto left = std::max(std::chrono::ceil<milliseconds>(container->next_look() - now),
                                   milliseconds{0});
        if (shortest < milliseconds{0} || left < shortest) shortest = left;
    }
    return static_cast<int>(shortest.count());
}

void ListenFollower::look(SteadyTime now) {
    for (const auto& container : containers_)
        if (container->is_looking() && container->next_look() <= now) container->look(now);
}

}  // namespace berth::net
