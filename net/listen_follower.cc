#include "net/listen_follower.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

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
constexpr Step kSteps[] = {{std::chrono::seconds(5), milliseconds(2)},
                           {std::chrono::seconds(30), milliseconds(5)},
                           {std::chrono::minutes(5), milliseconds(20)},
                           {std::chrono::hours(1), milliseconds(100)}};
constexpr milliseconds kLastPause{250};
// Many absent servers share one budget of 2,000 looks a second.
constexpr std::size_t kLooksPerMillisecond = 2;
// A container that writes without end is not looked at more often.
constexpr std::chrono::microseconds kShortestPause{500};

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
    Container(ListenFollower& follower, FollowedContainer followed, ListenProbe probe)
        : follower_(follower), followed_(std::move(followed)), probe_(std::move(probe)) {
        follower_.poller_.add(probe_->process(), end_, EPOLLIN);
        follower_.poller_.add(probe_->closings(), closings_, EPOLLIN);
    }
    ~Container() { drop_probe(); }

    const std::string& owner() const { return followed_.owner; }
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
        ports_.push_back({&port, port.is_listening()});
        absent_since_ = next_look_ = std::chrono::steady_clock::now();
    }

    void look(SteadyTime now) {
        if (!probe_) return;
        for (Port& own : ports_) check(own, now);
        const auto absent = std::chrono::duration_cast<milliseconds>(now - absent_since_);
        last_look_ = now;
        next_look_ = now + look_pause(absent, follower_.waiting());
        watch_output();
    }

    /// It wrote to its log.
    void look_soon(SteadyTime now) {
        if (!is_looking()) return;
        if (now >= last_look_ + kShortestPause) return look(now);
        next_look_ = std::min(next_look_, last_look_ + kShortestPause);
    }
    int output_watch() const { return output_watch_; }

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
            log::warn("container={} a published port: {}", owner().substr(0, 12), error.message());
        }
    }

    void on_end() {
        for (Port& own : ports_)
            if (own.listening) set_listening(own, false);
        drop_probe();
    }

    void watch_output() {
        const int fd = follower_.outputs_.get();
        if (is_looking() && output_watch_ < 0 && fd >= 0 && !followed_.output.empty())
            output_watch_ = ::inotify_add_watch(fd, followed_.output.c_str(), IN_MODIFY);
        if (!is_looking() && output_watch_ >= 0)
            ::inotify_rm_watch(fd, std::exchange(output_watch_, -1));
    }

    void drop_probe() {
        if (!probe_) return;
        follower_.poller_.remove(probe_->process());
        follower_.poller_.remove(probe_->closings());
        probe_.reset();
        watch_output();
    }

    ListenFollower& follower_;
    FollowedContainer followed_;
    int output_watch_ = -1;  // while a server is waited for
    std::optional<ListenProbe> probe_;
    std::vector<Port> ports_;
    SteadyTime absent_since_{};
    SteadyTime last_look_{};
    SteadyTime next_look_{};
    End end_{*this};
    Closings closings_{*this};
};

ListenFollower::ListenFollower(Poller& poller) : poller_(poller) {}

ListenFollower::~ListenFollower() = default;

void ListenFollower::follow(FollowedContainer followed, std::optional<ListenProbe> probe,
                            const std::vector<FollowingPort*>& ports) {
    if (ports.empty()) return;
    if (!probe) {
        for (FollowingPort* port : ports) port->start_listening();
        return;
    }
    if (!outputs_) {
        // Without one, past the user's limit, looking from time to time has to do.
        outputs_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (outputs_) poller_.add(outputs_, *this, EPOLLIN);
    }
    auto made = std::make_unique<Container>(*this, std::move(followed), std::move(*probe));
    for (FollowingPort* port : ports) made->add(*port);
    Container& added = *made;
    containers_.push_back(std::move(made));
    added.look(std::chrono::steady_clock::now());
}

void ListenFollower::on_events(std::uint32_t) {
    alignas(inotify_event) std::array<char, 4096> news;
    const SteadyTime now = std::chrono::steady_clock::now();
    for (ssize_t length; (length = ::read(outputs_.get(), news.data(), news.size())) > 0;) {
        for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
            inotify_event event;
            std::memcpy(&event, news.data() + at, sizeof event);
            at += sizeof event + event.len;
            for (const auto& container : containers_)
                if (container->output_watch() == event.wd) container->look_soon(now);
        }
    }
}

void ListenFollower::forget(const std::string& owner) {
    containers_.remove_if([&](const auto& container) { return container->owner() == owner; });
}

void ListenFollower::was_refused(const FollowingPort& port) {
    for (const auto& container : containers_)
        if (container->has(port)) container->look(std::chrono::steady_clock::now());
}

void ListenFollower::look_at(const std::string& owner) {
    for (const auto& container : containers_)
        if (container->owner() == owner) container->look(std::chrono::steady_clock::now());
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
