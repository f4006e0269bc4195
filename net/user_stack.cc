#include "net/user_stack.h"

#include <arpa/inet.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "net/congestion.h"
#include "net/tap_writer.h"

namespace berth::net {
namespace {

// Frames taken from the tap before libslirp's sockets get their turn.
constexpr int kBatch = 64;
constexpr std::size_t kHeaderBytes = sizeof(OffloadHeader);  // empty: no offloads are offered
constexpr std::size_t kFrameBytes = kHeaderBytes + 65536 + 64;
// libslirp wants to be asked once a second whatever there is (slirp_update_timeout). It names a
// shorter time as long as a connection, a fragment or a datagram socket that may expire is left.
constexpr std::uint32_t kNothingPending = 1000;

struct Timer final {
    SlirpTimerCb callback = nullptr;
    void* opaque = nullptr;
    std::int64_t expires_ms = -1;  // negative: not set
};

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

short poll_events(int slirp_events) {
    int events = 0;
    if (slirp_events & SLIRP_POLL_IN) events |= POLLIN;
    if (slirp_events & SLIRP_POLL_OUT) events |= POLLOUT;
    if (slirp_events & SLIRP_POLL_PRI) events |= POLLPRI;
    return static_cast<short>(events);
}

int slirp_events(short revents) {
    int events = 0;
    if (revents & POLLIN) events |= SLIRP_POLL_IN;
    if (revents & POLLOUT) events |= SLIRP_POLL_OUT;
    if (revents & POLLPRI) events |= SLIRP_POLL_PRI;
    if (revents & POLLERR) events |= SLIRP_POLL_ERR;
    if (revents & POLLHUP) events |= SLIRP_POLL_HUP;
    return events;
}

in_addr v4(const char* text) {
    in_addr address{};
    ::inet_pton(AF_INET, text, &address);
    return address;
}

in6_addr v6(const char* text) {
    in6_addr address{};
    ::inet_pton(AF_INET6, text, &address);
    return address;
}

struct SlirpDeleter final {
    void operator()(Slirp* slirp) const { slirp_cleanup(slirp); }
};

}  // namespace

class UserStack::Loop final {
  public:
    Loop(UniqueFd tap, const ProcessConfig& config, int mtu)
        : tap_(std::move(tap)),
          writer_(tap_, config.tap_mtu),
          stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (!stop_) throw_errno("making an event descriptor");
        slirp_.reset(make_slirp(config, mtu));
        if (!slirp_) throw Error(ErrorKind::internal, "libslirp refuses its configuration");
        thread_ = std::thread([this] { run(); });
    }

    ~Loop() {
        ::eventfd_write(stop_.get(), 1);
        thread_.join();
    }

  private:
    Slirp* make_slirp(const ProcessConfig& config, int mtu) {
        SlirpConfig options{};
        options.version = 4;
        options.in_enabled = true;
        options.vnetwork = v4("10.0.2.0");
        options.vnetmask = v4("255.255.255.0");
        options.vhost = v4("10.0.2.2");
        options.vnameserver = v4("10.0.2.3");
        options.vdhcp_start = v4("10.0.2.15");
        options.in6_enabled = config.tap_ipv6;
        options.vprefix_addr6 = v6("fd00::");
        options.vprefix_len = 64;
        options.vhost6 = v6("fd00::2");
        options.vnameserver6 = v6("fd00::3");
        options.if_mtu = static_cast<std::size_t>(mtu);
        options.if_mru = options.if_mtu;
        options.disable_host_loopback = !config.allow_host_loopback;
        options.disable_dhcp = true;
        return slirp_new(&options, &callbacks(), this);
    }

    static const SlirpCb& callbacks();
    static Loop* self(void* opaque) { return static_cast<Loop*>(opaque); }

    static ssize_t send_packet(const void* frame, std::size_t length, void* opaque) {
        self(opaque)->writer_.send({static_cast<const std::uint8_t*>(frame), length});
        return static_cast<ssize_t>(length);
    }
    static void* timer_new(SlirpTimerCb callback, void* timer_opaque, void* opaque) {
        return &self(opaque)->timers_.emplace_back(Timer{callback, timer_opaque, -1});
    }
    static void timer_free(void* timer, void* opaque) {
        self(opaque)->timers_.remove_if([&](const Timer& known) { return &known == timer; });
    }
    static int add_poll(int fd, int events, void* opaque) {
        auto& polled = self(opaque)->polled_;
        polled.push_back({fd, poll_events(events), 0});
        return static_cast<int>(polled.size()) - 1;
    }
    static int get_revents(int index, void* opaque) {
        return slirp_events(self(opaque)->polled_[static_cast<std::size_t>(index)].revents);
    }

    std::uint32_t until_next_timer(std::uint32_t timeout) const {
        const std::int64_t now = now_ns() / 1'000'000;
        for (const Timer& timer : timers_)
            if (timer.expires_ms >= 0)
                timeout = std::min(timeout, static_cast<std::uint32_t>(std::clamp<std::int64_t>(
                                                timer.expires_ms - now, 0, 3'600'000)));
        return timeout;
    }

    void fire_timers() {
        const std::int64_t now = now_ns() / 1'000'000;
        for (Timer& timer : timers_) {
            if (timer.expires_ms < 0 || timer.expires_ms > now) continue;
            timer.expires_ms = -1;
            timer.callback(timer.opaque);
        }
    }

    // What is sent to a container is acknowledged within the write, so there may be frames that
    // poll did not know of.
    void read_tap() {
        for (int i = 0; i < kBatch; ++i) {
            const ssize_t length = ::read(tap_.get(), frame_.get(), kFrameBytes);
            if (length <= static_cast<ssize_t>(kHeaderBytes)) return;
            slirp_input(slirp_.get(), frame_.get() + kHeaderBytes,
                        static_cast<int>(length) - static_cast<int>(kHeaderBytes));
        }
    }

    // A socket is announced before it connects; a connection within the host stands at once.
    void tune_fresh_sockets() {
        for (const int fd : std::exchange(fresh_, {})) stop_pacing_within_host(BorrowedFd{fd});
    }

    void run() {
        while (true) {
            polled_.assign({{tap_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}});
            std::uint32_t timeout = UINT32_MAX;
            slirp_pollfds_fill(slirp_.get(), &timeout, add_poll, this);
            if (timeout >= kNothingPending) timeout = UINT32_MAX;
            timeout = until_next_timer(timeout);
            const int wait = timeout == UINT32_MAX ? -1 : static_cast<int>(timeout);
            const int ready = ::poll(polled_.data(), polled_.size(), wait);
            if (polled_[1].revents != 0) return;
            slirp_pollfds_poll(slirp_.get(), ready < 0, get_revents, this);
            fire_timers();
            read_tap();
            tune_fresh_sockets();
        }
    }

    UniqueFd tap_;
    TapWriter writer_;
    UniqueFd stop_;
    std::unique_ptr<std::uint8_t[]> frame_ =
        std::make_unique_for_overwrite<std::uint8_t[]>(kFrameBytes);
    std::list<Timer> timers_;  // libslirp keeps pointers into it
    std::vector<pollfd> polled_;
    std::vector<int> fresh_;  // sockets that were made in this round
    std::unique_ptr<Slirp, SlirpDeleter> slirp_;
    std::thread thread_;
};

const SlirpCb& UserStack::Loop::callbacks() {
    static const SlirpCb table = [] {
        SlirpCb made{};
        made.send_packet = send_packet;
        made.guest_error = [](const char* text, void*) { log::debug("libslirp: {}", text); };
        made.clock_get_ns = [](void*) { return now_ns(); };
        made.timer_new = timer_new;
        made.timer_free = timer_free;
        made.timer_mod = [](void* timer, std::int64_t at_ms, void*) {
            static_cast<Timer*>(timer)->expires_ms = at_ms;
        };
        // The poll set is built anew in each round, and only libslirp's own thread calls it.
        made.register_poll_fd = [](int fd, void* opaque) { self(opaque)->fresh_.push_back(fd); };
        made.unregister_poll_fd = [](int, void*) {};
        made.notify = [](void*) {};
        return made;
    }();
    return table;
}

UserStack::UserStack(UniqueFd tap, const ProcessConfig& config, int mtu)
    : loop_(std::make_unique<Loop>(std::move(tap), config, mtu)) {}

UserStack::~UserStack() = default;

}  // namespace berth::net
