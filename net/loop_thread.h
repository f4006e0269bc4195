// A thread with a poller and a queue of jobs, for parts whose whole state belongs to one thread.
// What the poller tells and what is posted runs on the thread, one after the other, and must never
// block. It stays in the network namespace of the thread that started it: the host's.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"
#include "net/poller.h"

namespace berth::net {

class LoopThread final : public PollTarget {
  public:
    LoopThread();
    ~LoopThread() override;
    LoopThread(const LoopThread&) = delete;
    LoopThread& operator=(const LoopThread&) = delete;

    /// For use on the thread, and before start().
    Poller& poller() { return poller_; }
    /// `finish_round` runs after each round and its jobs; it says how many milliseconds the next
    /// round may wait at most (negative: for ever).
    void start(std::function<int()> finish_round);
    /// Ends the thread; jobs that did not run are dropped. Call it before anything that jobs and
    /// targets use goes away. Not on the thread.
    void stop();
    /// From any thread. What a job throws is logged.
    void post(std::function<void()> job);

    void on_events(std::uint32_t events) override;

  private:
    void run();
    void run_jobs();

    UniqueFd wake_;
    Poller poller_;
    std::function<int()> finish_round_;
    std::mutex mutex_;  // guards jobs_, stopping_
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace berth::net
