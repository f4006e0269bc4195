#include "net/relay_loop.h"

#include <sys/eventfd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "linux/enter_namespaces.h"
#include "net/namespace_thread.h"
#include "net/poller.h"
#include "net/tcp_relay.h"
#include "net/udp_relay.h"

namespace berth::net {
namespace {

constexpr std::size_t kDatagramBytes = 65536;
// How often idle UDP clients are looked for, while there are any.
constexpr std::chrono::seconds kExpiryPeriod{10};

}  // namespace

class RelayLoop::Thread final : public PollTarget {
  public:
    explicit Thread(BorrowedFd network_namespace)
        : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (!wake_) throw_errno("making an event descriptor");
        poller_.add(wake_, *this, EPOLLIN);
        std::promise<void> entered;
        std::future<void> result = entered.get_future();
        thread_ = std::thread([this, network_namespace, promise = std::move(entered)]() mutable {
            try {
                linux_os::enter_network_namespace(network_namespace);
                promise.set_value();
            } catch (...) {
                return promise.set_exception(std::current_exception());
            }
            loop();
        });
        try {
            result.get();
        } catch (...) {
            thread_.join();
            throw;
        }
    }

    ~Thread() override {
        call([this] { stopping_ = true; });
        thread_.join();
    }

    /// Runs `job` on the relay thread and waits for it; rethrows what it throws.
    void call(std::function<void()> job) {
        std::packaged_task<void()> task(std::move(job));
        std::future<void> result = task.get_future();
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(task));
        }
        ::eventfd_write(wake_.get(), 1);
        result.get();
    }

    void add(const std::string& owner, HostSocket socket) {
        if (socket.transport == Transport::udp) {
            if (!datagram_) datagram_ = std::make_unique_for_overwrite<char[]>(kDatagramBytes);
            udp_.push_back(
                {owner, std::make_unique<UdpRelay>(std::move(socket), poller_,
                                                   std::span(datagram_.get(), kDatagramBytes))});
            return;
        }
        tcp_.push_back({owner, std::make_unique<TcpRelay>(std::move(socket), poller_, pipes_)});
    }

    void remove(const std::string& owner) {
        std::erase_if(tcp_, [&](const auto& relay) { return relay.owner == owner; });
        std::erase_if(udp_, [&](const auto& relay) { return relay.owner == owner; });
    }

    void on_events(std::uint32_t) override {
        eventfd_t count = 0;
        ::eventfd_read(wake_.get(), &count);
        have_jobs_ = true;
    }

  private:
    template <typename Relay>
    struct Owned final {
        std::string owner;
        std::unique_ptr<Relay> relay;
    };

    // Jobs add and remove targets, so they run between rounds only.
    void run_jobs() {
        have_jobs_ = false;
        std::deque<std::packaged_task<void()>> jobs;
        {
            const std::lock_guard lock(mutex_);
            jobs.swap(jobs_);
        }
        for (auto& job : jobs) job();
    }

    void loop() {
        bool unfinished = false;
        bool udp_in_use = false;
        SteadyTime next_expiry = std::chrono::steady_clock::now();
        while (!stopping_) {
            const auto period = std::chrono::milliseconds(kExpiryPeriod).count();
            poller_.run_once(unfinished ? 0 : udp_in_use ? static_cast<int>(period) : -1);
            unfinished = false;
            for (auto& entry : tcp_) unfinished = entry.relay->finish_round() || unfinished;
            const SteadyTime now = std::chrono::steady_clock::now();
            if (now >= next_expiry) {
                for (auto& entry : udp_) entry.relay->expire(now);
                next_expiry = now + kExpiryPeriod;
            }
            udp_in_use = false;
            for (auto& entry : udp_) udp_in_use = entry.relay->in_use() || udp_in_use;
            if (have_jobs_) run_jobs();
        }
    }

    UniqueFd wake_;
    Poller poller_;
    PipePool pipes_;
    std::unique_ptr<char[]> datagram_;
    std::vector<Owned<TcpRelay>> tcp_;
    std::vector<Owned<UdpRelay>> udp_;
    bool have_jobs_ = false;
    bool stopping_ = false;
    std::mutex mutex_;  // guards jobs_
    std::deque<std::packaged_task<void()>> jobs_;
    std::thread thread_;
};

RelayLoop::RelayLoop(BorrowedFd network_namespace)
    : thread_(std::make_unique<Thread>(network_namespace)) {}

RelayLoop::~RelayLoop() = default;

void RelayLoop::add(const std::string& owner, HostSocket socket) {
    thread_->call([&] { thread_->add(owner, std::move(socket)); });
}

void RelayLoop::remove(const std::string& owner) {
    thread_->call([&] { thread_->remove(owner); });
}

}  // namespace berth::net
