// Lets published TCP ports listen on the host exactly while a server listens inside the container,
// so that the kernel refuses clients of a closed port as it would anywhere (decision 0008). The
// start of a server is found by looking: when the container writes to its log, and from time to
// time, often at first and ever less often. Its end is announced by the kernel. While all servers
// listen nothing runs. Relay thread only.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/listen_probe.h"
#include "net/poller.h"

namespace berth::net {

/// A port of the host that listens on demand.
class FollowingPort {
  public:
    virtual ~FollowingPort() = default;
    virtual const IpAddress& target_address() const = 0;
    virtual std::uint16_t target_port() const = 0;
    virtual bool is_listening() const = 0;
    virtual void start_listening() = 0;
    virtual void stop_listening() = 0;
};

/// How long to wait before the next look for a server that has been absent for `absent` when
/// `waiting` ports are looked at.
std::chrono::milliseconds look_pause(std::chrono::milliseconds absent, std::size_t waiting);

struct FollowedContainer final {
    std::string owner;
    std::string output;  // the directory of its log; empty: none
};

class ListenFollower final : public PollTarget {
  public:
    explicit ListenFollower(Poller& poller);
    ~ListenFollower() override;
    ListenFollower(const ListenFollower&) = delete;
    ListenFollower& operator=(const ListenFollower&) = delete;

    /// The ports outlive the follower or forget(). Without a probe they listen all the time.
    void follow(FollowedContainer followed, std::optional<ListenProbe> probe,
                const std::vector<FollowingPort*>& ports);
    void forget(const std::string& owner);
    /// The targets of that container's ports have changed.
    void look_at(const std::string& owner);
    /// A client of `port` was refused inside: the news of the server's end is still on its way.
    void was_refused(const FollowingPort& port);
    /// Milliseconds until look() has something to do; negative: nothing to look for.
    int timeout(SteadyTime now) const;
    /// Looks for the servers whose time has come.
    void look(SteadyTime now);
    /// Some containers wrote to their logs.
    void on_events(std::uint32_t events) override;

  private:
    class Container;
    std::size_t waiting() const;

    Poller& poller_;
    UniqueFd outputs_;  // inotify; made at the first use
    std::list<std::unique_ptr<Container>> containers_;
};

}  // namespace berth::net
