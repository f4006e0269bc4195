// The one permanent thread in the container network namespace ("N"). A thread that entered N
// cannot go back to the host's namespace, so N has this executor: jobs that need N run here, one
// after the other, and must never block. A socket belongs to the namespace of the thread that made
// it; any thread may use it afterwards.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"

namespace berth::net {

class NamespaceThread final {
  public:
    /// Starts the thread, which joins the network namespace of the process `pidfd`. Throws Error.
    explicit NamespaceThread(BorrowedFd pidfd);
    ~NamespaceThread();
    NamespaceThread(const NamespaceThread&) = delete;
    NamespaceThread& operator=(const NamespaceThread&) = delete;

    /// Runs `job` in N and returns when it is done; rethrows what it throws.
    void run(const std::function<void()>& job);
    /// As run, but inside the network namespace `other`; the thread comes back to N.
    void run_in(BorrowedFd other, const std::function<void()>& job);
    /// N itself, for threads that join it at their start.
    BorrowedFd network_namespace() const { return namespace_; }

  private:
    void loop();

    UniqueFd namespace_;
    std::mutex mutex_;  // guards job_, done_, failure_, stopping_
    std::condition_variable changed_;
    const std::function<void()>* job_ = nullptr;
    bool done_ = false;
    bool stopping_ = false;
    std::exception_ptr failure_;
    std::mutex turn_;  // held by the caller whose job runs
    std::thread thread_;
};

}  // namespace berth::net
